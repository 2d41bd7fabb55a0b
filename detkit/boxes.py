"""Pure functions on boxes: area, IoU, intersection, enclosing boxes, clip, encode and decode.

Boxes are x1 y1 x2 y2 in pixels, in continuous coordinates without any +1. Every function takes
``F`` (mx.nd or mx.sym) first, so that the same code works imperatively and inside a graph. It works
on the last axis; the axes before it are free and broadcast.
"""

from typing import Sequence, Tuple

from detkit.constants import MAX_LOG_SCALE, MIN_UNION
from detkit.typing import Namespace, Tensor


def corners(F: Namespace, boxes: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns x1, y1, x2, y2 of boxes (..., 4), each (..., 1)."""
    return F.split(boxes, num_outputs=4, axis=-1)


def centre_size(F: Namespace, boxes: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns cx, cy, w, h of boxes (..., 4), each (..., 1)."""
    x1, y1, x2, y2 = corners(F, boxes)
    return (x1 + x2) * 0.5, (y1 + y2) * 0.5, x2 - x1, y2 - y1


def area(F: Namespace, boxes: Tensor) -> Tensor:
    """Returns the areas (..., 1) of boxes (..., 4); 0 for a box with x2 < x1 or y2 < y1."""
    x1, y1, x2, y2 = corners(F, boxes)
    return F.relu(x2 - x1) * F.relu(y2 - y1)


def iou(F: Namespace, boxes: Tensor, others: Tensor) -> Tensor:
    """Returns the IoU (B, N, G) of boxes (B or 1, N, 4) with others (B, G, 4).

    The IoU of two boxes without area is 0.
    """
    ax1, ay1, ax2, ay2 = corners(F, boxes)
    bx1, by1, bx2, by2 = (F.transpose(c, axes=(0, 2, 1)) for c in corners(F, others))
    width = F.relu(F.broadcast_minimum(ax2, bx2) - F.broadcast_maximum(ax1, bx1))
    height = F.relu(F.broadcast_minimum(ay2, by2) - F.broadcast_maximum(ay1, by1))
    intersection = width * height
    areas = F.broadcast_add(area(F, boxes), F.transpose(area(F, others), axes=(0, 2, 1)))
    union = areas - intersection
    iou = intersection / F.maximum(union, MIN_UNION)
    return F.where(union > 0, iou, F.zeros_like(intersection))


def intersection_and_union(F: Namespace, boxes: Tensor, others: Tensor) -> Tuple[Tensor, Tensor]:
    """Returns the areas (..., 1) of intersection and union of paired boxes and others (..., 4)."""
    ax1, ay1, ax2, ay2 = corners(F, boxes)
    bx1, by1, bx2, by2 = corners(F, others)
    width = F.relu(F.broadcast_minimum(ax2, bx2) - F.broadcast_maximum(ax1, bx1))
    height = F.relu(F.broadcast_minimum(ay2, by2) - F.broadcast_maximum(ay1, by1))
    intersection = width * height
    return intersection, F.broadcast_add(area(F, boxes), area(F, others)) - intersection


def enclosing(F: Namespace, boxes: Tensor, others: Tensor) -> Tensor:
    """Returns the smallest boxes (..., 4) that enclose paired boxes and others (..., 4)."""
    ax1, ay1, ax2, ay2 = corners(F, boxes)
    bx1, by1, bx2, by2 = corners(F, others)
    lower = F.broadcast_minimum(ax1, bx1), F.broadcast_minimum(ay1, by1)
    upper = F.broadcast_maximum(ax2, bx2), F.broadcast_maximum(ay2, by2)
    return F.concat(*lower, *upper, dim=-1)


def clip(F: Namespace, boxes: Tensor, sizes: Tensor) -> Tensor:
    """Returns boxes (B, N, 4) clipped to their images; sizes (B, 2) are h, w in pixels."""
    h, w = F.split(F.expand_dims(sizes, axis=1), num_outputs=2, axis=-1)
    limits = F.concat(w, h, w, h, dim=-1)
    return F.broadcast_minimum(F.maximum(boxes, 0), limits)


def encode(F: Namespace, boxes: Tensor, anchors: Tensor, weights: Sequence[float]) -> Tensor:
    """Returns the regression targets (..., 4), dx dy dw dh, that turn anchors into boxes.

    The parametrisation is R-CNN's (Girshick et al. 2014, appendix C), multiplied by the four
    weights. A row whose box or anchor has no area gives finite values; it has no weight in a loss.
    """
    bx, by, bw, bh = centre_size(F, boxes)
    ax, ay, aw, ah = centre_size(F, anchors)
    aw, ah = F.maximum(aw, 1e-6), F.maximum(ah, 1e-6)
    dx = F.broadcast_div(F.broadcast_sub(bx, ax), aw)
    dy = F.broadcast_div(F.broadcast_sub(by, ay), ah)
    dw = F.log(F.broadcast_div(F.maximum(bw, 1e-6), aw))
    dh = F.log(F.broadcast_div(F.maximum(bh, 1e-6), ah))
    wx, wy, ww, wh = weights
    return F.concat(dx * wx, dy * wy, dw * ww, dh * wh, dim=-1)


def decode(
    F: Namespace,
    deltas: Tensor,
    anchors: Tensor,
    weights: Sequence[float],
    max_log_scale: float = MAX_LOG_SCALE,
) -> Tensor:
    """Returns the boxes (..., 4) that deltas (..., 4) make of anchors (..., 4).

    It is the inverse of encode. dw and dh are clamped at max_log_scale, whose default,
    log(1000 / 16), is Detectron's.
    """
    dx, dy, dw, dh = corners(F, deltas)
    ax, ay, aw, ah = centre_size(F, anchors)
    wx, wy, ww, wh = weights
    cx = F.broadcast_add(F.broadcast_mul(dx / wx, aw), ax)
    cy = F.broadcast_add(F.broadcast_mul(dy / wy, ah), ay)
    half_w = F.broadcast_mul(F.exp(F.minimum(dw / ww, max_log_scale)), aw) * 0.5
    half_h = F.broadcast_mul(F.exp(F.minimum(dh / wh, max_log_scale)), ah) * 0.5
    return F.concat(cx - half_w, cy - half_h, cx + half_w, cy + half_h, dim=-1)


def deltas_of(F: Namespace, deltas: Tensor, classes: Tensor) -> Tensor:
    """Returns the deltas (M, 4) of each row's class.

    deltas: (M, K, 4), or (M, 1, 4) if they are class-agnostic: pick clips the class to 0.
    classes: (M,) in 0..K-1; a class below 0 takes the deltas of class 0.
    """
    first = F.squeeze(F.slice_axis(deltas, axis=1, begin=0, end=1), axis=1)
    own = F.broadcast_like(F.expand_dims(classes, axis=1), first)
    return F.pick(deltas, own, axis=1, mode="clip")
