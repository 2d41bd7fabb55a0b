"""detkit: two-stage object detection on MXNet/Gluon, composed of named parts.

    detector = detkit.load("work_dirs/faster_rcnn_vgg16")
    found = detector.detect("street.jpg", score=0.5)
    for one in found:
        print(one.name, one.score, one.box)

``load`` takes the folder of a run, of a checkpoint, or of an export that detkit export wrote, or
the .onnx of one. An export needs none of detkit's models, and an .onnx no MXNet.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from detkit.compatibility import support_mxnet
from detkit.memory import bound_primitives
from detkit.processor import limit_instructions
from detkit.threads import use_physical_cores

if TYPE_CHECKING:
    from detkit.data.tiling import Tiling
    from detkit.detections import Detection, Detections
    from detkit.detector import Detector
    from detkit.export.runtimes.by_mxnet import load_exported
    from detkit.loading import load
    from detkit.tta import TTA, TTADetector

__version__ = "0.1.0"
__all__ = [
    "TTA",
    "Detection",
    "Detections",
    "Detector",
    "TTADetector",
    "Tiling",
    "load",
    "load_exported",
]

use_physical_cores()
limit_instructions()
bound_primitives()
support_mxnet()


# These are imported late: tools that only read configs should not wait for MXNet.
_MODULE_OF = {
    "TTA": "detkit.tta",
    "Detection": "detkit.detections",
    "Detections": "detkit.detections",
    "Detector": "detkit.detector",
    "TTADetector": "detkit.tta",
    "Tiling": "detkit.data.tiling",
    "load": "detkit.loading",
    "load_exported": "detkit.export.runtimes.by_mxnet",
}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module 'detkit' has no attribute {name!r}")
