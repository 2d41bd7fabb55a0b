"""Detectors: the parts put together; each file has one of its name in train_steps/ to train it."""

from detkit.models.detectors.cascade_mask_rcnn import CascadeMaskRCNN
from detkit.models.detectors.cascade_rcnn import CascadeRCNN
from detkit.models.detectors.fast_rcnn import FastRCNN
from detkit.models.detectors.faster_rcnn import FasterRCNN
from detkit.models.detectors.keypoint_rcnn import KeypointRCNN
from detkit.models.detectors.mask_rcnn import MaskRCNN
from detkit.models.detectors.mask_rcnn_c4 import MaskRCNNC4
from detkit.models.detectors.network import Network
from detkit.models.detectors.rcnn import RCNN
from detkit.models.detectors.retina_net import RetinaNet
from detkit.models.detectors.rpn import RPN

__all__ = [
    "RCNN",
    "RPN",
    "CascadeMaskRCNN",
    "CascadeRCNN",
    "FastRCNN",
    "FasterRCNN",
    "KeypointRCNN",
    "MaskRCNN",
    "MaskRCNNC4",
    "Network",
    "RetinaNet",
]
