"""What detkit computes with operators, in plain numpy: loops and float64, slow, easy to check."""

import math

import numpy as np


def area(box):
    x1, y1, x2, y2 = map(float, box)
    return max(x2 - x1, 0) * max(y2 - y1, 0)


def iou(box, other):
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    overlap = float(width) * float(height)
    return overlap / (area(box) + area(other) - overlap)


def iou_matrix(boxes, others):
    return np.array([[iou(a, b) for b in others] for a in boxes]).reshape(len(boxes), len(others))


def clip(box, size):
    h, w = size
    x1, y1, x2, y2 = (max(float(c), 0.0) for c in box)
    return [min(x1, w), min(y1, h), min(x2, w), min(y2, h)]


def encode(box, anchor, weights=(1, 1, 1, 1)):
    """R-CNN's appendix C; both boxes have an area."""
    (bx, by, bw, bh), (ax, ay, aw, ah) = _centre_size(box), _centre_size(anchor)
    deltas = (bx - ax) / aw, (by - ay) / ah, math.log(bw / aw), math.log(bh / ah)
    return [d * w for d, w in zip(deltas, weights)]


def decode(deltas, anchor, weights=(1, 1, 1, 1)):
    ax, ay, aw, ah = _centre_size(anchor)
    dx, dy, dw, dh = (float(d) / w for d, w in zip(deltas, weights))
    cx, cy = ax + dx * aw, ay + dy * ah
    w, h = (side * min(math.exp(min(d, 700)), 1000 / 16) for d, side in ((dw, aw), (dh, ah)))
    return [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]


def _centre_size(box):
    x1, y1, x2, y2 = map(float, box)
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def nms(boxes, scores, threshold, top_k_in=-1, top_k_out=-1, labels=None):
    """Indices of the boxes kept, best first; equal scores keep their order."""
    order = [i for i in range(len(scores)) if np.isfinite(scores[i]) and scores[i] >= 0]
    order.sort(key=lambda i: -scores[i])  # Python's sort is stable
    if top_k_in >= 0:
        order = order[:top_k_in]
    kept = []
    for i in order:
        rivals = (k for k in kept if labels is None or labels[k] == labels[i])
        if all(iou(boxes[k], boxes[i]) <= threshold for k in rivals):
            kept.append(i)
    return kept if top_k_out < 0 else kept[:top_k_out]


def roi_align(features, roi, size, stride, sampling, aligned):
    """(C, size, size) of features (C, H, W) under one RoI with an area; torchvision's definition.

    sampling 0: ceil(side / size) points per cell and axis.
    """
    offset = 0.5 if aligned else 0.0
    x1, y1, x2, y2 = (float(c) / stride - offset for c in roi)
    w, h = x2 - x1, y2 - y1
    if not aligned:
        w, h = max(w, 1.0), max(h, 1.0)
    across = sampling or math.ceil(w / size)
    down = sampling or math.ceil(h / size)
    out = np.zeros((len(features), size, size))
    for row, column in np.ndindex(size, size):
        for j, i in np.ndindex(down, across):
            y = y1 + (row + (j + 0.5) / down) * h / size
            x = x1 + (column + (i + 0.5) / across) * w / size
            out[:, row, column] += _bilinear(features, y, x)
    return out / (across * down)


def _bilinear(features, y, x):
    """The value between four cells; the border's beyond it, 0 from one cell beyond on."""
    _, height, width = features.shape
    if y < -1 or y > height or x < -1 or x > width:
        return np.zeros(len(features))
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    v, u = y - top, x - left
    return (
        features[:, top, left] * (1 - v) * (1 - u)
        + features[:, top, right] * (1 - v) * u
        + features[:, bottom, left] * v * (1 - u)
        + features[:, bottom, right] * v * u
    )


def anchor_grid(height, width, stride, sizes, ratios, offset=0.5):
    """(N, 4): row by row, cell by cell, for each ratio every size."""
    boxes = []
    for row, column in np.ndindex(height, width):
        cx, cy = (column + offset) * stride, (row + offset) * stride
        for ratio in ratios:
            for size in sizes:
                w, h = size / math.sqrt(ratio), size * math.sqrt(ratio)
                boxes.append([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
    return np.array(boxes)


def assign(overlaps, candidates, pos_iou, neg_iou, neg_low=0.0, best_for_object=True):
    """Labels (N,) and objects (N,) for IoUs (N, G) of which G are real; G may be 0."""
    labels, objects = [], []
    for n, row in enumerate(overlaps):
        largest = max(row, default=0.0)
        best_for = [
            g for g, o in enumerate(row) if o > 0 and o == max(overlaps[candidates, g], default=0)
        ]
        positive = (len(row) and largest >= pos_iou) or (best_for_object and best_for)
        if not candidates[n]:
            labels.append(-1)
        elif positive:
            labels.append(1)
        else:
            labels.append(0 if neg_low <= largest < neg_iou else -1)
        objects.append(int(np.argmax(row)) if len(row) else 0)
    return np.array(labels), np.array(objects)


def sample_counts(labels, size, positive_share):
    """How many positives and negatives are drawn of labels (N,)."""
    positives = min(int((labels == 1).sum()), round(size * positive_share))
    return positives, min(int((labels == 0).sum()), size - positives)


def smooth_l1(difference, beta):
    distance = abs(float(difference))
    return distance**2 / (2 * beta) if distance < beta else distance - beta / 2


def binary_cross_entropy(logit, label):
    """-log p, as -log(1 / (1 + exp(-z))) for the z that should be large."""
    return float(np.logaddexp(0.0, -logit if label else logit))


def cross_entropy(logits, label):
    logits = np.asarray(logits, "float64")
    return float(np.logaddexp.reduce(logits) - logits[label])


def rpn_losses(objectness, deltas, labels, targets, beta):
    """(class, box) of (B, N), (B, N, 4), (B, N), (B, N, 4)."""
    count = max((labels >= 0).sum(), 1)
    class_loss = sum(
        binary_cross_entropy(objectness[i], labels[i] == 1) for i in zip(*np.where(labels >= 0))
    )
    box_loss = sum(
        smooth_l1(d, beta)
        for i in zip(*np.where(labels == 1))
        for d in deltas[i].astype("float64") - targets[i]
    )
    return class_loss / count, box_loss / count


def roi_losses(logits, deltas, labels, targets, beta):
    """(class, box) of (M, 1 + K), (M, K or 1, 4), (M,), (M, 4)."""
    count = max((labels >= 0).sum(), 1)
    class_loss = box_loss = 0.0
    for row, label in enumerate(labels.astype(int)):
        if label >= 0:
            class_loss += cross_entropy(logits[row], label)
        if label > 0:
            own = deltas[row, min(label - 1, deltas.shape[1] - 1)].astype("float64")
            box_loss += sum(smooth_l1(d, beta) for d in own - targets[row])
    return class_loss / count, box_loss / count


def detections(rois, logits, deltas, size, floor, threshold, count, weights):
    """Boxes, scores, labels of one image: rois (n, 4), logits (n, 1 + K), deltas (n, K or 1, 4)."""
    boxes, scores, labels = [], [], []
    for roi, row, moves in zip(rois, logits.astype("float64"), deltas):
        probabilities = np.exp(row - np.logaddexp.reduce(row))
        for label, score in enumerate(probabilities[1:]):
            box = clip(decode(moves[min(label, len(moves) - 1)], roi, weights), size)
            if score > floor and min(box[2] - box[0], box[3] - box[1]) >= 1e-2:
                boxes.append(box)
                scores.append(score)
                labels.append(label)
    kept = nms(boxes, scores, threshold, top_k_out=count, labels=labels)
    return (
        np.array(boxes).reshape(-1, 4)[kept],
        np.array(scores)[kept],
        np.array(labels, int)[kept],
    )
