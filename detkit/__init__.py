"""detkit: two-stage object detection on MXNet/Gluon, put together out of named parts.

detector = detkit.load("configs/faster_rcnn_vgg16.yaml", "work_dirs/.../checkpoints/best")
for found in detector.detect(["street.jpg"]):
    print(found.boxes, found.scores, found.labels)

An exported detector, the folder that tools/export.py writes, is used in the same way and needs
none of detkit's models: ``detkit.load_exported("exported").detect(["street.jpg"])``.
"""

from detkit.processor import limit_instructions
from detkit.threads import use_physical_cores

__version__ = "0.1.0"
__all__ = ["Detections", "Detector", "load", "load_exported"]

use_physical_cores()
limit_instructions()


def __getattr__(name):
    # Tools that only read configs should not wait for MXNet.
    if name == "Detections":
        from detkit.detections import Detections

        return Detections
    if name == "load_exported":
        from detkit.export.exported import load_exported

        return load_exported
    if name == "Detector":
        from detkit.detector import Detector

        return Detector
    if name == "load":
        from detkit.build.load import load

        return load
    raise AttributeError(f"module 'detkit' has no attribute {name!r}")
