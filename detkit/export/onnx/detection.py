"""NMS and proposals, with ONNX's own NonMaxSuppression in its form for batches.

The numbers of rows that leave are constants, as TensorRT wants them: where MXNet returns fewer,
because there are fewer candidates, rows without a box follow.
"""

import numpy as np

from detkit.constants import MAX_LOG_SCALE, MIN_PROPOSAL_SIDE
from detkit.export.onnx.translate import translates

LARGEST = float(np.finfo("float32").max)
LOWEST = -LARGEST
INVALID = -1.0  # the score of a row without a box; such are below FLOOR
FLOOR = -0.5


@translates("detkit_nms")
def nms(b, call, boxes, scores, labels=None):
    """Greedy NMS as detkit_nms in kernels.h; labels are 0..classes-1."""
    remedy = "set model.postprocess.nms: {type: hard}"
    call.require(call.integer("mode", 0) == 0, "soft-NMS", remedy)
    top_in, top_out = call.integer("top_k_in", -1), call.integer("top_k_out", -1)
    iou = call.real("iou", 0.5)
    sound = b("And", is_finite(b, scores), b("GreaterOrEqual", scores, 0.0))
    sound = b("And", sound, are_finite(b, boxes))
    scores = b("Where", sound, scores, INVALID)
    rows, index = top_in, None
    if top_in >= 0:
        scores, index = best(b, scores, top_in, INVALID)
        boxes, labels = rows_at(b, boxes, index), labels and rows_at(b, labels, index)
    if iou < 1:  # above it is no IoU
        classes = None if labels is None else _one_hot(b, labels, b.classes)
        scores = suppress(b, boxes, scores, classes, iou, top_out)
    scores, order = best(b, scores, top_out, INVALID, rows)
    index = order if index is None else rows_at(b, index, order)
    found = b("GreaterOrEqual", scores, 0.0)
    kept_labels = 0.0 if labels is None else rows_at(b, labels, order)
    return [
        _or_zeros(b, found, rows_at(b, boxes, order)),
        scores,
        b("Where", found, kept_labels, -1.0),
        b.cast(b("Where", found, index, -1), "int32"),
    ]


@translates("detkit_proposals")
def proposals(b, call, sizes, *arrays):
    """Region proposals as detkit_proposals in kernels.h, NMS of all levels in one."""
    pre, post = call.integer("pre_nms", 0), call.integer("post_nms", 0)
    levels = [arrays[at : at + 3] for at in range(0, len(arrays), 3)]
    found = [_level(b, call, sizes, pre, *level) for level in levels]
    boxes, scores = found[0]
    if len(found) > 1:
        boxes, scores = (b("Concat", *each, axis=1) for each in zip(*found))
    level_of_row = np.repeat(np.arange(len(levels), dtype="float32"), pre)[None]
    classes = _one_hot(b, level_of_row, len(levels)) if len(levels) > 1 else None
    scores = suppress(b, boxes, scores, classes, call.real("iou", 0.7), post)
    scores, order = best(b, scores, post, INVALID, pre * len(levels))
    found = b("GreaterOrEqual", scores, 0.0)
    return [_or_zeros(b, found, rows_at(b, boxes, order)), scores]


def _level(b, call, sizes, count, anchors, objectness, deltas):
    """The best ``count`` anchors of a level as boxes (B, count, 4), and scores, INVALID of none."""
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


def _decode(b, deltas, anchors):
    """Boxes (B, N, 4) that deltas, already divided by the weights, make of anchors."""
    low, high = b("Split", anchors, outputs=2, axis=2)
    middle, side = b("Mul", b("Add", low, high), 0.5), b("Sub", high, low)
    moved, log_scale = b("Split", deltas, outputs=2, axis=2)
    centre = b("Add", b("Mul", moved, side), middle)
    scale = b("Exp", b("Min", log_scale, MAX_LOG_SCALE))
    half = b("Mul", b("Mul", scale, side), 0.5)
    return b("Concat", b("Sub", centre, half), b("Add", centre, half), axis=2)


def _clip(b, boxes, sizes):
    """Boxes (B, N, 4) cut at the border; sizes (B, 2) are h, w."""
    limits = b("Unsqueeze", b("Gather", sizes, [1, 0, 1, 0], axis=1), [1])
    return b("Min", b("Max", boxes, 0.0), limits)


def suppress(b, boxes, scores, classes, iou, count):
    """Scores (B, N), INVALID where a better box (B, N, 4) of the same class overlaps it too much.

    classes: bool (B or 1, K, N), which rows are of which; None: all of one. count: so many of a
    class are enough, -1: all.
    """
    x1y1, x2y2 = b("Split", boxes, outputs=2, axis=2)
    boxes = b("Concat", x1y1, b("Max", x1y1, x2y2), axis=2)  # an inverted box has no area
    each = b("Unsqueeze", scores, [1])
    if classes is not None:
        each = b("Where", classes, each, INVALID)
    count = b.dimension(scores, 1) if count < 0 else [count]
    limits = np.array([iou], "float32"), np.array([FLOOR], "float32")
    chosen = b("NonMaxSuppression", boxes, each, count, *limits)  # rows of image, class, box
    places = b("Gather", chosen, [0, 2], axis=1)
    nothing = b("Expand", INVALID, b("Shape", scores))
    return b("ScatterND", nothing, places, b("GatherND", scores, places))


def best(b, values, count, filling, least=0):
    """The best ``count`` of values (B, N), best first, and where they are: (B, count) each.

    Of equal ones the first. Where there are fewer, ``filling`` at the last place. least: at least
    so many there are. count -1: all.
    """
    if count < 0:
        return b("TopK", values, b.dimension(values, 1), outputs=2, axis=1)
    if least >= count:
        return b("TopK", values, [count], outputs=2, axis=1)
    last = b("Sub", b.dimension(values, 1), 1)
    padded = b("Pad", values, [0, 0, 0, count - least], filling)
    found, index = b("TopK", padded, [count], outputs=2, axis=1)
    return found, b("Min", index, last)


def rows_at(b, data, index):
    """Rows (B, S, ...) of data (B, N, ...) at index (B, S) int64, image by image."""
    return b("GatherND", data, b("Unsqueeze", index, [2]), batch_dims=1)


def is_finite(b, x):
    """Whether each element is a number: NaN fails every comparison."""
    return b("LessOrEqual", b("Abs", x), LARGEST)


def are_finite(b, boxes):
    """Whether all four coordinates of boxes (B, N, 4) are numbers: (B, N)."""
    every = b("ReduceMin", b.cast(is_finite(b, boxes), "float32"), axes=[2], keepdims=0)
    return b("Greater", every, 0.5)


def _one_hot(b, labels, classes):
    """Labels (B, N) -> bool (B, classes, N)."""
    numbers = np.arange(classes, dtype="float32").reshape(1, -1, 1)
    return b("Equal", b("Unsqueeze", labels, [1]), numbers)


def _or_zeros(b, found, boxes):
    return b("Where", b("Unsqueeze", found, [2]), boxes, 0.0)
