"""RoI pooling, with ONNX's RoiAlign, MaxRoiPool and GridSample; see kernels.h for what they do."""

import math

import numpy as np

from detkit.constants import LEVEL_SLACK, MAX_ROI_COORDINATE, MIN_ROI_SIDE
from detkit.export.onnx.detection import is_finite
from detkit.export.onnx.translate import translates

INSTEAD = "use RoIAlign, or RoIPool of mode max, or CropPool"


@translates("detkit_roi_align")
def roi_align(b, call, rois, *features):
    size, sampling = call.integer("size", 7), call.integer("sampling", 0)
    how = {"coordinate_transformation_mode": "output_half_pixel"}
    if call.integer("aligned", 1):
        how["coordinate_transformation_mode"] = "half_pixel"
    largest = call.integer("mode", 0) == 1
    if largest:
        # ONNX takes the maximum of the pixels around a sample, each times its weight. One sample in
        # each of more cells is the same points, and a pooling takes the maximum of these.
        how.update(output_height=size * sampling, output_width=size * sampling, sampling_ratio=1)
    else:
        how.update(output_height=size, output_width=size, sampling_ratio=sampling)

    def pool(maps, stride, image, boxes):
        pooled = b("RoiAlign", maps, boxes, image, spatial_scale=1 / stride, **how)
        return _largest(b, pooled, sampling) if largest else pooled

    return _pooled(b, call, rois, features, pool)


@translates("detkit_roi_pool")
def roi_pool(b, call, rois, *features):
    call.require(call.integer("mode", 1) == 1, "RoIPool of mode average", INSTEAD)
    shape = [call.integer("size", 7)] * 2

    def pool(maps, stride, image, boxes):
        rows = b("Concat", b.cast(b("Unsqueeze", image, [1]), "float32"), boxes, axis=1)
        return b("MaxRoiPool", maps, rows, pooled_shape=shape, spatial_scale=1 / stride)

    return _pooled(b, call, rois, features, pool)


@translates("detkit_prroi_pool")
def prroi_pool(b, call, rois, *features):
    raise call.error("Precise RoI Pooling cannot be expressed in ONNX", INSTEAD)


@translates("detkit_crop_pool")
def crop_pool(b, call, rois, *features):
    """Every RoI from every map: GridSample takes as many samples from each image."""
    side = 2 * call.integer("size", 7)
    _, boxes = _rows(b, rois)
    out = levels = None
    for level, (maps, stride) in enumerate(zip(features, call.numbers("strides"))):
        pooled = _crop(b, maps, b("Div", boxes, float(stride)), side)
        if out is None:
            out = pooled
            continue
        levels = levels or b("Reshape", _levels(b, call, boxes, len(features)), [-1, 1, 1, 1])
        out = b("Where", b("Equal", levels, float(level)), pooled, out)
    return out


def _crop(b, maps, boxes, side):
    """The maximum of each 2 x 2 of side x side samples from corner to corner of boxes (R, 4)."""
    images = b.dimension(maps, 0)
    low, high = (b("Unsqueeze", each, [1]) for each in b("Split", boxes, outputs=2, axis=1))
    part = np.linspace(0, 1, side, dtype="float32").reshape(1, -1, 1)
    at = b("Add", low, b("Mul", b("Sub", high, low), part))  # (R, side, 2) as x y, in cells
    length = b.cast(b("Gather", b("Shape", maps), [3, 2], axis=0), "float32")
    at = b("Sub", b("Div", b("Add", b("Mul", at, 2.0), 1.0), length), 1.0)  # -1..1, the map's edges
    x, y = b("Split", at, outputs=2, axis=2)
    x, y = b("Unsqueeze", x, [1]), b("Unsqueeze", y, [2])
    whole = b("Max", b("Shape", x), b("Shape", y))  # (R, side, side, 1)
    grid = b("Concat", b("Expand", x, whole), b("Expand", y, whole), axis=3)
    grid = b("Reshape", grid, b("Concat", images, [-1, side, 2], axis=0))
    how = {"mode": "bilinear", "padding_mode": "zeros", "align_corners": 0}
    samples = b("GridSample", maps, grid, **how)  # (B, C, R / B * side, side)
    samples = b("Transpose", samples, perm=[0, 2, 1, 3])
    channels = b.dimension(maps, 1)
    rows = b("Reshape", samples, b("Concat", [-1, side], channels, [side], axis=0))
    return _largest(b, b("Transpose", rows, perm=[0, 2, 1, 3]), 2)


def _largest(b, samples, side):
    """The maximum of each side x side of samples (R, C, H, W)."""
    return b("MaxPool", samples, kernel_shape=[side, side], strides=[side, side])


def _pooled(b, call, rois, features, pool):
    """RoIs (R, 5) pooled, each from its own level: (R, C, P, P).

    pool(maps (B, C, H, W), stride, image (S,) int64, boxes (S, 4)) -> (S, C, P, P).
    """
    strides = call.numbers("strides")
    image, boxes = _rows(b, rois)
    if len(features) == 1:
        return pool(features[0], strides[0], image, boxes)
    levels = _levels(b, call, boxes, len(features))
    pooled, places = [], []
    for level, (maps, stride) in enumerate(zip(features, strides)):
        own = b("NonZero", b("Equal", levels, np.float32(level)))
        own = b("Squeeze", own, [0])
        parts = (b("Gather", each, own, axis=0) for each in (image, boxes))
        pooled.append(pool(maps, stride, *parts))
        places.append(own)
    return _in_order(b, b("Concat", *pooled, axis=0), b("Concat", *places, axis=0))


def _rows(b, rois):
    """The image (R,) int64 of each of RoIs (R, 5), and clean boxes (R, 4)."""
    image, boxes = b("Split", rois, np.array([1, 4]), outputs=2, axis=1)
    boxes = b("Where", is_finite(b, boxes), boxes, 0.0)
    boxes = b("Clip", boxes, -MAX_ROI_COORDINATE, MAX_ROI_COORDINATE)
    low, high = b("Split", boxes, outputs=2, axis=1)
    boxes = b("Concat", low, b("Max", high, b("Add", low, MIN_ROI_SIDE)), axis=1)
    return b.cast(b("Squeeze", image, [1]), "int64"), boxes


def _in_order(b, rows, places):
    """Rows (R, ...) of which the first belongs to places[0]."""
    shape = b("Shape", places)
    numbers = b("Range", 0, b("Squeeze", shape, [0]), 1)
    start = b("Expand", 0, shape)
    row_of_place = b("ScatterND", start, b("Unsqueeze", places, [1]), numbers)
    return b("Gather", rows, row_of_place, axis=0)


def _levels(b, call, boxes, count):
    """Which map (R,) of ``count`` each clean box (R, 4) is pooled from (Lin et al. 2017, eq. 1)."""
    low, high = b("Split", boxes, outputs=2, axis=1)
    sides = b("Add", b("Sub", high, low), call.real("level_margin", 0))
    size = b("Sqrt", b("ReduceProd", sides, axes=[1], keepdims=0))
    log2 = b("Div", b("Log", b("Div", size, call.real("canonical_size", 224))), math.log(2))
    canonical = call.integer("canonical_level", 4)
    level = b("Floor", b("Add", b("Add", log2, float(canonical)), LEVEL_SLACK))
    index = b("Sub", level, float(call.integer("first_level", 2)))
    return b("Clip", index, 0.0, float(count - 1))
