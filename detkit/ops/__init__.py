"""The operators of detection, with one wrapper each. ``F`` is mx.nd or mx.sym.

A wrapper calls detkit's own operator (native/, in C++ and CUDA). If that cannot be compiled or
loaded, it calls the fallback (fallback/), which is made of MXNet's operators and gives the same
results. detkit.ops.backend chooses between the two.
"""

from detkit.constants import CROWD, PADDING
from detkit.ops.arrays import extent, finite, gather_rows, grid_shifts, plane, valid_area
from detkit.ops.convolution import convolution, max_pool, rectify, upsample
from detkit.ops.masks import mask_paste, mask_target, paste_masks
from detkit.ops.match import Match, match
from detkit.ops.nms import nms, soft_nms
from detkit.ops.proposals import proposals, traced_proposals
from detkit.ops.roi_pooling import Levels, crop_pool, prroi_pool, roi_align, roi_pool

__all__ = [
    "CROWD",
    "PADDING",
    "Levels",
    "Match",
    "convolution",
    "crop_pool",
    "extent",
    "finite",
    "gather_rows",
    "grid_shifts",
    "mask_paste",
    "mask_target",
    "match",
    "max_pool",
    "nms",
    "paste_masks",
    "plane",
    "proposals",
    "prroi_pool",
    "rectify",
    "roi_align",
    "roi_pool",
    "soft_nms",
    "traced_proposals",
    "upsample",
    "valid_area",
]
