"""Translators of NMS and proposals, which use ONNX's NonMaxSuppression for batches.

The numbers of rows of the results are constants, because TensorRT needs them. If MXNet returns
fewer rows, because there are fewer candidates, rows without a box are added.
"""

from typing import List, Optional, Tuple, Union

import numpy as np

from detkit.constants import MAX_LOG_SCALE, MIN_PROPOSAL_SIDE
from detkit.export.onnx.builder import Builder
from detkit.export.onnx.translate import Call, translates

LARGEST = float(np.finfo("float32").max)
LOWEST = -LARGEST
INVALID = -1.0  # the score of a row without a box
FLOOR = -0.5  # NonMaxSuppression ignores scores that are not above it


@translates("detkit_nms")
def nms(b: Builder, call: Call, boxes: str, scores: str, labels: Optional[str] = None) -> List[str]:
    """Adds the greedy NMS of detkit_nms in kernels.h; labels are in [0, classes - 1]."""
    remedy = "set model.postprocess.nms: {type: hard}"
    call.require(call.integer("mode", 0) == 0, "soft-NMS", remedy)
    top_in, top_out = call.integer("top_k_in", -1), call.integer("top_k_out", -1)
    iou = call.real("iou", 0.5)
    sound = b("And", is_finite(b, scores), b("GreaterOrEqual", scores, 0.0))
    sound = b("And", sound, are_finite(b, boxes))
    scores = b("Where", sound, scores, INVALID)
    index: Optional[str] = None
    if top_in >= 0:
        scores, index = best(b, scores, top_in, INVALID)
        boxes, labels = rows_at(b, boxes, index), labels and rows_at(b, labels, index)
    if iou < 1:  # no IoU exceeds 1, so that nothing is suppressed then
        classes = None if labels is None else _one_hot(b, labels, b.classes)
        scores = suppress(b, boxes, scores, classes, iou, top_out)
    scores, order = best(b, scores, top_out, INVALID, least=top_in)
    index = order if index is None else rows_at(b, index, order)
    kept = b("GreaterOrEqual", scores, 0.0)
    kept_labels = 0.0 if labels is None else rows_at(b, labels, order)
    return [
        _or_zeros(b, kept, rows_at(b, boxes, order)),
        scores,
        b("Where", kept, kept_labels, -1.0),
        b.cast(b("Where", kept, index, -1), "int32"),
    ]


@translates("detkit_proposals")
def proposals(b: Builder, call: Call, sizes: str, *arrays: str) -> List[str]:
    """Adds detkit_proposals of kernels.h, with one NMS for all levels, which are its classes."""
    pre, post = call.integer("pre_nms", 0), call.integer("post_nms", 0)
    levels = [arrays[at : at + 3] for at in range(0, len(arrays), 3)]
    pairs = [_level(b, call, sizes, pre, *level) for level in levels]
    boxes, scores = pairs[0]
    if len(pairs) > 1:
        boxes, scores = (b("Concat", *parts, axis=1) for parts in zip(*pairs))
    level_of_row = np.repeat(np.arange(len(levels), dtype="float32"), pre)[None]
    classes = _one_hot(b, level_of_row, len(levels)) if len(levels) > 1 else None
    scores = suppress(b, boxes, scores, classes, call.real("iou", 0.7), post)
    scores, order = best(b, scores, post, INVALID, pre * len(levels))
    kept = b("GreaterOrEqual", scores, 0.0)
    return [_or_zeros(b, kept, rows_at(b, boxes, order)), scores]


def _level(
    b: Builder, call: Call, sizes: str, count: int, anchors: str, objectness: str, deltas: str
) -> Tuple[str, str]:
    """Returns the boxes (B, count, 4) and scores (B, count) of the best anchors of a level.

    The score of a row without a box is INVALID.
    """
    objectness = b("Where", is_finite(b, objectness), objectness, LOWEST)
    objectness, index = best(b, objectness, count, LOWEST)
    anchors = b("Gather", b("Squeeze", anchors, [0]), index, axis=0)
    weights = np.array(call.numbers("weights"), "float32")
    decoded = _decode(b, b("Div", rows_at(b, deltas, index), weights), anchors)
    boxes = _clip(b, decoded, sizes)
    shortest = max(call.real("min_size", 0), MIN_PROPOSAL_SIDE)
    x1y1, x2y2 = b("Split", boxes, outputs=2, axis=2)
    side = b("ReduceMin", b("Sub", x2y2, x1y1), axes=[2], keepdims=0)
    sound = b("And", b("GreaterOrEqual", side, shortest), are_finite(b, decoded))
    sound = b("And", sound, b("Greater", objectness, LOWEST))
    return boxes, b("Where", sound, b("Sigmoid", objectness), INVALID)


def _decode(b: Builder, deltas: str, anchors: str) -> str:
    """Returns the boxes (B, N, 4) of anchors moved by deltas, which are divided by the weights."""
    low, high = b("Split", anchors, outputs=2, axis=2)
    middle, side = b("Mul", b("Add", low, high), 0.5), b("Sub", high, low)
    moved, log_scale = b("Split", deltas, outputs=2, axis=2)
    centre = b("Add", b("Mul", moved, side), middle)
    scale = b("Exp", b("Min", log_scale, MAX_LOG_SCALE))
    half = b("Mul", b("Mul", scale, side), 0.5)
    return b("Concat", b("Sub", centre, half), b("Add", centre, half), axis=2)


def _clip(b: Builder, boxes: str, sizes: str) -> str:
    """Returns boxes (B, N, 4) clipped to the images, whose sizes (B, 2) are h, w."""
    limits = b("Unsqueeze", b("Gather", sizes, [1, 0, 1, 0], axis=1), [1])
    return b("Min", b("Max", boxes, 0.0), limits)


def suppress(
    b: Builder, boxes: str, scores: str, classes: Optional[str], iou: float, count: int
) -> str:
    """Returns scores (B, N) with INVALID for rows that NMS drops.

    boxes: (B, N, 4). classes: bool (B or 1, K, N), whether a row belongs to a class; None for one
    class. iou: a row is dropped if its IoU with a better one of its class is above it. count: the
    largest number of rows that a class keeps; -1 is all.
    """
    x1y1, x2y2 = b("Split", boxes, outputs=2, axis=2)
    boxes = b("Concat", x1y1, b("Max", x1y1, x2y2), axis=2)  # an inverted box has no area
    by_class = b("Unsqueeze", scores, [1])
    if classes is not None:
        by_class = b("Where", classes, by_class, INVALID)
    most = b.dimension(scores, 1) if count < 0 else [count]
    limits = np.array([iou], "float32"), np.array([FLOOR], "float32")
    chosen = b("NonMaxSuppression", boxes, by_class, most, *limits)  # rows of image, class, box
    places = b("Gather", chosen, [0, 2], axis=1)
    nothing = b("Expand", INVALID, b("Shape", scores))
    return b("ScatterND", nothing, places, b("GatherND", scores, places))


def best(b: Builder, values: str, count: int, filling: float, least: int = 0) -> Tuple[str, str]:
    """Returns the largest ``count`` of values (B, N) and their positions, both (B, count).

    The largest value comes first. In a tie, the first position does. If N is less than ``count``,
    the values that are missing are ``filling``, with the last position.

    count: -1 is all. least: a number that N is known not to fall below.
    """
    if count < 0:
        top, index = b("TopK", values, b.dimension(values, 1), outputs=2, axis=1)
        return top, index
    if least >= count:
        top, index = b("TopK", values, [count], outputs=2, axis=1)
        return top, index
    last = b("Sub", b.dimension(values, 1), 1)
    padded = b("Pad", values, [0, 0, 0, count - least], filling)
    top, index = b("TopK", padded, [count], outputs=2, axis=1)
    return top, b("Min", index, last)


def rows_at(b: Builder, data: str, index: str) -> str:
    """Returns the rows (B, S, ...) of data (B, N, ...) at index (B, S) int64, image by image."""
    return b("GatherND", data, b("Unsqueeze", index, [2]), batch_dims=1)


def is_finite(b: Builder, x: str) -> str:
    """Returns whether each element is finite: every comparison with NaN is false."""
    return b("LessOrEqual", b("Abs", x), LARGEST)


def are_finite(b: Builder, boxes: str) -> str:
    """Returns whether all four coordinates of boxes (B, N, 4) are finite: (B, N)."""
    every = b("ReduceMin", b.cast(is_finite(b, boxes), "float32"), axes=[2], keepdims=0)
    return b("Greater", every, 0.5)


def _one_hot(b: Builder, labels: Union[str, np.ndarray], classes: int) -> str:
    """Returns bool (B, classes, N): whether a row's label (B, N) is that class."""
    numbers = np.arange(classes, dtype="float32").reshape(1, -1, 1)
    return b("Equal", b("Unsqueeze", labels, [1]), numbers)


def _or_zeros(b: Builder, kept: str, boxes: str) -> str:
    """Returns boxes (B, N, 4) with zeros for rows whose kept (B, N) is false."""
    return b("Where", b("Unsqueeze", kept, [2]), boxes, 0.0)
