"""The detections of an image: their type, and in modules their files, drawings and overlaps.

An exported detector imports the type from here and runs without pycocotools. This file therefore
imports no module that needs it.
"""

from detkit.detections.detection import Detection
from detkit.detections.detections import Detections, detections_of

__all__ = ["Detection", "Detections", "detections_of"]
