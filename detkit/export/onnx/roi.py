"""Translators of RoI pooling, which use ONNX's RoiAlign, MaxRoiPool and GridSample.

ops/native/kernels.h is the specification.
"""

import math
from typing import Any, Callable, Dict, List, NoReturn, Sequence, Tuple

import numpy as np

from detkit.constants import LEVEL_SLACK, MAX_ROI_COORDINATE, MIN_ROI_SIDE
from detkit.export.onnx.builder import Builder
from detkit.export.onnx.detection import is_finite
from detkit.export.onnx.translate import Call, translates

INSTEAD = "use RoIAlign, or RoIPool of mode max, or CropPool"

Pool = Callable[[str, float, str, str], str]


@translates("detkit_roi_align")
def roi_align(b: Builder, call: Call, rois: str, *features: str) -> str:
    size, sampling = call.integer("size", 7), call.integer("sampling", 0)
    aligned = call.integer("aligned", 1)
    how: Dict[str, Any] = {
        "coordinate_transformation_mode": "half_pixel" if aligned else "output_half_pixel"
    }
    largest = call.integer("mode", 0) == 1
    if largest:
        # ONNX's own maximum is that of the four weighted pixels around a sample. Here, each sample
        # gets a cell of its own, and a pooling takes the maximum of the samples.
        how.update(output_height=size * sampling, output_width=size * sampling, sampling_ratio=1)
    else:
        how.update(output_height=size, output_width=size, sampling_ratio=sampling)

    def pool(maps: str, stride: float, image: str, boxes: str) -> str:
        pooled = b("RoiAlign", maps, boxes, image, spatial_scale=1 / stride, **how)
        return _largest(b, pooled, sampling) if largest else pooled

    return _pooled(b, call, rois, features, pool)


@translates("detkit_roi_pool")
def roi_pool(b: Builder, call: Call, rois: str, *features: str) -> str:
    call.require(call.integer("mode", 1) == 1, "RoIPool of mode average", INSTEAD)
    shape = [call.integer("size", 7)] * 2

    def pool(maps: str, stride: float, image: str, boxes: str) -> str:
        rows = b("Concat", b.cast(b("Unsqueeze", image, [1]), "float32"), boxes, axis=1)
        return b("MaxRoiPool", maps, rows, pooled_shape=shape, spatial_scale=1 / stride)

    return _pooled(b, call, rois, features, pool)


@translates("detkit_prroi_pool")
def prroi_pool(b: Builder, call: Call, rois: str, *features: str) -> NoReturn:
    raise call.error("Precise RoI Pooling cannot be expressed in ONNX", INSTEAD)


@translates("detkit_crop_pool")
def crop_pool(b: Builder, call: Call, rois: str, *features: str) -> str:
    """Pools every RoI from every map and then selects its level.

    GridSample needs the same number of samples for each image.
    """
    side = 2 * call.integer("size", 7)
    _, boxes = _rows(b, rois)
    strides = call.numbers("strides")
    out = _crop(b, features[0], b("Div", boxes, float(strides[0])), side)
    if len(features) > 1:
        levels = b("Reshape", _levels(b, call, boxes, len(features)), [-1, 1, 1, 1])
        for level in range(1, len(features)):
            pooled = _crop(b, features[level], b("Div", boxes, float(strides[level])), side)
            out = b("Where", b("Equal", levels, float(level)), pooled, out)
    return out


def _crop(b: Builder, maps: str, boxes: str, side: int) -> str:
    """Returns the maximum of each 2 x 2 of side x side samples, which span boxes (R, 4).

    boxes: in cells of the maps.
    """
    images = b.dimension(maps, 0)
    low, high = (b("Unsqueeze", corner, [1]) for corner in b("Split", boxes, outputs=2, axis=1))
    part = np.linspace(0, 1, side, dtype="float32").reshape(1, -1, 1)
    at = b("Add", low, b("Mul", b("Sub", high, low), part))  # (R, side, 2) as x y, in cells
    length = b.cast(b("Gather", b("Shape", maps), [3, 2], axis=0), "float32")
    # GridSample's coordinates are -1 and 1 at the edges of the map.
    at = b("Sub", b("Div", b("Add", b("Mul", at, 2.0), 1.0), length), 1.0)
    x, y = b("Split", at, outputs=2, axis=2)
    x, y = b("Unsqueeze", x, [1]), b("Unsqueeze", y, [2])
    whole = b("Max", b("Shape", x), b("Shape", y))  # (R, side, side, 1)
    grid = b("Concat", b("Expand", x, whole), b("Expand", y, whole), axis=3)
    grid = b("Reshape", grid, b("Concat", images, [-1, side, 2], axis=0))
    # (B, C, R / B * side, side)
    samples = b("GridSample", maps, grid, mode="bilinear", padding_mode="zeros", align_corners=0)
    samples = b("Transpose", samples, perm=[0, 2, 1, 3])
    channels = b.dimension(maps, 1)
    rows = b("Reshape", samples, b("Concat", [-1, side], channels, [side], axis=0))
    return _largest(b, b("Transpose", rows, perm=[0, 2, 1, 3]), 2)


def _largest(b: Builder, samples: str, side: int) -> str:
    """Returns the maximum of each side x side of samples (R, C, H, W)."""
    return b("MaxPool", samples, kernel_shape=[side, side], strides=[side, side])


def _pooled(b: Builder, call: Call, rois: str, features: Sequence[str], pool: Pool) -> str:
    """Pools RoIs (R, 5), each from its own level: (R, C, P, P).

    pool: (maps (B, C, H, W), stride, image (S,) int64, boxes (S, 4)) -> (S, C, P, P).
    """
    strides = call.numbers("strides")
    image, boxes = _rows(b, rois)
    if len(features) == 1:
        return pool(features[0], strides[0], image, boxes)
    levels = _levels(b, call, boxes, len(features))
    pooled: List[str] = []
    places: List[str] = []
    for level, (maps, stride) in enumerate(zip(features, strides)):
        own = b("NonZero", b("Equal", levels, float(level)))
        own = b("Squeeze", own, [0])
        own_image, own_boxes = (b("Gather", rows, own, axis=0) for rows in (image, boxes))
        pooled.append(pool(maps, stride, own_image, own_boxes))
        places.append(own)
    return _in_order(b, b("Concat", *pooled, axis=0), b("Concat", *places, axis=0))


def _rows(b: Builder, rois: str) -> Tuple[str, str]:
    """Returns the image (R,) int64 and the cleaned box (R, 4) of each RoI (R, 5)."""
    image, boxes = b("Split", rois, np.array([1, 4]), outputs=2, axis=1)
    boxes = b("Where", is_finite(b, boxes), boxes, 0.0)
    boxes = b("Clip", boxes, -MAX_ROI_COORDINATE, MAX_ROI_COORDINATE)
    low, high = b("Split", boxes, outputs=2, axis=1)
    boxes = b("Concat", low, b("Max", high, b("Add", low, MIN_ROI_SIDE)), axis=1)
    return b.cast(b("Squeeze", image, [1]), "int64"), boxes


def _in_order(b: Builder, rows: str, places: str) -> str:
    """Returns rows (R, ...) in the order of places (R,): the first row goes to places[0]."""
    shape = b("Shape", places)
    numbers = b("Range", 0, b("Squeeze", shape, [0]), 1)
    start = b("Expand", 0, shape)
    row_of_place = b("ScatterND", start, b("Unsqueeze", places, [1]), numbers)
    return b("Gather", rows, row_of_place, axis=0)


def _levels(b: Builder, call: Call, boxes: str, count: int) -> str:
    """Returns the index (R,) of the map, one of ``count``, that each cleaned box is pooled from.

    This is equation 1 of Lin et al. 2017.
    """
    low, high = b("Split", boxes, outputs=2, axis=1)
    sides = b("Add", b("Sub", high, low), call.real("level_margin", 0))
    size = b("Sqrt", b("ReduceProd", sides, axes=[1], keepdims=0))
    log2 = b("Div", b("Log", b("Div", size, call.real("canonical_size", 224))), math.log(2))
    canonical = call.integer("canonical_level", 4)
    level = b("Floor", b("Add", b("Add", log2, float(canonical)), LEVEL_SLACK))
    index = b("Sub", level, float(call.integer("first_level", 2)))
    return b("Clip", index, 0.0, float(count - 1))
