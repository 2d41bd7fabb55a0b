"""The parts of a detector, in the order in which the data passes them, and the detectors."""

from detkit.models import backbones, necks, roi_heads  # noqa: F401  (their parts register themselves)
from detkit.models.anchors import AnchorGrid
from detkit.models.box_statistics import BoxStatistics
from detkit.models.dense_postprocess import DensePostprocess
from detkit.models.detectors import (
    RCNN,
    RPN,
    CascadeMaskRCNN,
    CascadeRCNN,
    FasterRCNN,
    FastRCNN,
    KeypointRCNN,
    MaskRCNN,
    MaskRCNNC4,
    Network,
    RetinaNet,
)
from detkit.models.normalize import Normalize
from detkit.models.postprocess import Postprocess
from detkit.models.proposals import Proposals
from detkit.models.refine import Refine
from detkit.models.retina_head import RetinaHead
from detkit.models.roi_extractors import RoIAlign
from detkit.models.roi_pools import CropPool, PrRoIPool, RoIPool
from detkit.models.rpn_head import RPNHead
from detkit.models.spatial_pyramid import SPP
from detkit.models.suppression import GaussianNMS, HardNMS, LinearNMS
from detkit.models.voting import BoxVoting
from detkit.models.warp import Warp

__all__ = [
    "AnchorGrid",
    "BoxStatistics",
    "BoxVoting",
    "CascadeMaskRCNN",
    "CascadeRCNN",
    "CropPool",
    "DensePostprocess",
    "FastRCNN",
    "FasterRCNN",
    "GaussianNMS",
    "HardNMS",
    "KeypointRCNN",
    "LinearNMS",
    "MaskRCNN",
    "MaskRCNNC4",
    "Network",
    "Normalize",
    "Postprocess",
    "PrRoIPool",
    "Proposals",
    "RCNN",
    "RPN",
    "RPNHead",
    "SPP",
    "Refine",
    "RetinaHead",
    "RetinaNet",
    "RoIAlign",
    "RoIPool",
    "Warp",
]
