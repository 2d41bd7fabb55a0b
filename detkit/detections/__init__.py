"""What a detector says about an image: the type here, its files, pictures and overlaps in modules.

An exported detector takes the type from here and runs without pycocotools: this file imports none
of the modules that need it.
"""

from detkit.detections.detections import Detections, detections_of

__all__ = ["Detections", "detections_of"]
