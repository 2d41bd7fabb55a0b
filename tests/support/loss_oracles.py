"""Losses of single numbers and single boxes in float64, and their slopes."""

import math

import numpy as np

from support.oracles import area, iou


def balanced_l1(difference, alpha=0.5, gamma=1.5):
    """Pang et al. 2019, equation 6; the constant makes both pieces meet."""
    x, b = abs(float(difference)), math.exp(gamma / alpha) - 1

    def near(x):
        return alpha / b * (b * x + 1) * math.log(b * x + 1) - alpha * x

    return near(x) if x < 1 else gamma * (x - 1) + near(1)


def focal(logit, label, alpha, gamma):
    """-alpha_t (1 - p_t)^gamma log(p_t) with logs of sigmoids that do not overflow."""
    sign = 1 if label else -1
    log_p, log_doubt = (-np.logaddexp(0, -s * float(logit)) for s in (sign, -sign))
    weight = 1 if alpha is None else alpha if label else 1 - alpha
    return -weight * math.exp(gamma * log_doubt) * log_p


def softmax_focal(logits, label, weight, gamma):
    """-weight (1 - p)^gamma log(p), with 1 - p as the sum of the other probabilities."""
    logits = [float(z) for z in logits]
    whole = np.logaddexp.reduce(logits)
    others = [z for k, z in enumerate(logits) if k != label]
    log_p, log_doubt = logits[label] - whole, np.logaddexp.reduce(others) - whole
    return -weight * math.exp(gamma * log_doubt) * log_p


def iou_loss(box, target, linear=False):
    return 1 - iou(box, target) if linear else -math.log(max(iou(box, target), 1e-6))


def giou_loss(box, target):
    around = area(_around(box, target))
    overlap = iou(box, target)
    union = (area(box) + area(target)) / (1 + overlap)
    return 1 - overlap + (around - union) / around


def diou_loss(box, target):
    x1, y1, x2, y2 = _around(box, target)
    (px, py), (tx, ty) = (((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in (box, target))
    apart = (px - tx) ** 2 + (py - ty) ** 2
    return 1 - iou(box, target) + apart / ((x2 - x1) ** 2 + (y2 - y1) ** 2)


def aspect(box, target):
    """v of CIoU."""
    turns = [math.atan2(b[2] - b[0], b[3] - b[1]) for b in (box, target)]
    return 4 / math.pi**2 * (turns[0] - turns[1]) ** 2


def aspect_weight(box, target):
    """alpha of CIoU; 0 for equal boxes, where v is 0 as well."""
    v = aspect(box, target)
    return v / (1 - iou(box, target) + v) if v else 0.0


def ciou_loss(box, target, alpha=None):
    """alpha: as it was before the box moved; by default that of the box."""
    alpha = aspect_weight(box, target) if alpha is None else alpha
    return diou_loss(box, target) + alpha * aspect(box, target)


def slopes(function, point, step=1e-6):
    """Central differences of function at point, a list of numbers."""
    found = []
    for axis in range(len(point)):
        higher, lower = ([float(x) for x in point] for _ in range(2))
        higher[axis] += step
        lower[axis] -= step
        found.append((function(higher) - function(lower)) / (2 * step))
    return found


def _around(box, other):
    lower = [min(float(a), float(b)) for a, b in zip(box[:2], other[:2])]
    return lower + [max(float(a), float(b)) for a, b in zip(box[2:], other[2:])]
