"""MXNet's operators, each wrapped once with its traps closed. ``F`` is mx.nd or mx.sym."""

from detkit.ops.anchors import grid_shifts
from detkit.ops.nms import nms
from detkit.ops.roi import roi_align, roi_pool
from detkit.ops.rows import finite, gather_rows, valid_area

__all__ = ["finite", "gather_rows", "grid_shifts", "nms", "roi_align", "roi_pool", "valid_area"]
