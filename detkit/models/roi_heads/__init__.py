"""RoI heads: features of a RoI -> class logits and box deltas, or its mask, or its keypoints."""

from detkit.models.roi_heads.conv_fc import ConvFCHead
from detkit.models.roi_heads.cosine_fc import CosineFCHead
from detkit.models.roi_heads.double import DoubleHead
from detkit.models.roi_heads.fc import FCHead
from detkit.models.roi_heads.fc_mask import FCMaskHead
from detkit.models.roi_heads.keypoint import KeypointHead
from detkit.models.roi_heads.mask import MaskHead
from detkit.models.roi_heads.pooled_fc import PooledFCHead
from detkit.models.roi_heads.rcnn import RCNNHead
from detkit.models.roi_heads.res5 import Res5Head

__all__ = [
    "ConvFCHead",
    "CosineFCHead",
    "DoubleHead",
    "FCHead",
    "FCMaskHead",
    "KeypointHead",
    "MaskHead",
    "PooledFCHead",
    "RCNNHead",
    "Res5Head",
]
