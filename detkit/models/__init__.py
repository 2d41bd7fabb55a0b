"""The network, in the order the data passes."""

from detkit.models import backbones, necks, roi_heads  # noqa: F401  (their parts register themselves)
from detkit.models.anchors import AnchorGrid
from detkit.models.faster_rcnn import FasterRCNN
from detkit.models.mask_rcnn import MaskRCNN
from detkit.models.network import Network
from detkit.models.normalize import Normalize
from detkit.models.postprocess import Postprocess
from detkit.models.proposals import Proposals
from detkit.models.roi_extractors import CropPool, PrRoIPool, RoIAlign, RoIPool
from detkit.models.rpn_head import RPNHead

__all__ = [
    "AnchorGrid",
    "FasterRCNN",
    "CropPool",
    "MaskRCNN",
    "Network",
    "Normalize",
    "Postprocess",
    "PrRoIPool",
    "Proposals",
    "RPNHead",
    "RoIAlign",
    "RoIPool",
]
