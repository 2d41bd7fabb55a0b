"""Every operator of native/kernels.h, made of MXNet's operators: slower, with the same results.

The functions are pure functions of ``F`` (mx.nd or mx.sym). They read no shape in Python, so that
one graph serves every batch and image size. A docstring says if MXNet's operators cannot give what
kernels.h defines. No axis may have length 0 (no box, no object), because MXNet 1.9 has no such
arrays.
"""

from detkit.ops.fallback.masks import mask_paste, mask_target
from detkit.ops.fallback.match import match
from detkit.ops.fallback.nms import nms, soft_nms
from detkit.ops.fallback.proposals import proposals
from detkit.ops.fallback.roi_pooling import crop_pool, prroi_pool, roi_align, roi_pool
from detkit.ops.fallback.rois import pool_levels, roi_levels

__all__ = [
    "crop_pool",
    "mask_paste",
    "mask_target",
    "match",
    "nms",
    "pool_levels",
    "proposals",
    "prroi_pool",
    "roi_align",
    "roi_levels",
    "roi_pool",
    "soft_nms",
]
