"""The network, in the order the data passes."""

from detkit.models import backbones, necks, roi_heads  # noqa: F401  (their parts register themselves)
from detkit.models.anchors import AnchorGrid
from detkit.models.cascade_mask_rcnn import CascadeMaskRCNN
from detkit.models.cascade_rcnn import CascadeRCNN
from detkit.models.dense_postprocess import DensePostprocess
from detkit.models.fast_rcnn import FastRCNN
from detkit.models.faster_rcnn import FasterRCNN
from detkit.models.mask_rcnn import MaskRCNN
from detkit.models.network import Network
from detkit.models.normalize import Normalize
from detkit.models.postprocess import Postprocess
from detkit.models.proposals import Proposals
from detkit.models.refine import Refine
from detkit.models.retina_head import RetinaHead
from detkit.models.retina_net import RetinaNet
from detkit.models.roi_extractors import CropPool, PrRoIPool, RoIAlign, RoIPool
from detkit.models.rpn import RPN
from detkit.models.rpn_head import RPNHead

__all__ = [
    "AnchorGrid",
    "CascadeMaskRCNN",
    "CascadeRCNN",
    "FastRCNN",
    "DensePostprocess",
    "FasterRCNN",
    "CropPool",
    "MaskRCNN",
    "Network",
    "Normalize",
    "Postprocess",
    "PrRoIPool",
    "Proposals",
    "RPN",
    "RPNHead",
    "Refine",
    "RetinaHead",
    "RetinaNet",
    "RoIAlign",
    "RoIPool",
]
