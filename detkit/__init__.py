"""detkit: two-stage object detection on MXNet/Gluon, composed of named parts.

    detector = detkit.load("configs/faster_rcnn_vgg16.yaml", "work_dirs/.../checkpoints/best")
    for detections in detector.detect(["street.jpg"]):
        print(detections.boxes, detections.scores, detections.labels)

An exported detector, the folder that detkit export writes, is used in the same way. It needs none
of detkit's models: ``detkit.load_exported("exported").detect(["street.jpg"])``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from detkit.memory import bound_primitives
from detkit.processor import limit_instructions
from detkit.threads import use_physical_cores

if TYPE_CHECKING:
    from detkit.build.load import load
    from detkit.detections import Detections
    from detkit.detector import Detector
    from detkit.export.exported import load_exported
    from detkit.tta import TTA, TTADetector

__version__ = "0.1.0"
__all__ = ["TTA", "Detections", "Detector", "TTADetector", "load", "load_exported"]

use_physical_cores()
limit_instructions()
bound_primitives()


# These are imported late: tools that only read configs should not wait for MXNet.
_MODULE_OF = {
    "TTA": "detkit.tta",
    "Detections": "detkit.detections",
    "Detector": "detkit.detector",
    "TTADetector": "detkit.tta",
    "load": "detkit.build.load",
    "load_exported": "detkit.export.exported",
}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module 'detkit' has no attribute {name!r}")
