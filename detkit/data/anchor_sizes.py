"""Anchors that fit a dataset: sizes and ratios for an AnchorGrid, from the boxes that it will see.

Sizes and ratios are chosen apart, each by k-means of the logarithms in one dimension: the IoU of
two shapes depends on the factors between their sides. Ratios are height / width.
"""

from typing import Iterator, List, NamedTuple, Sequence, Tuple, Union

import numpy as np

# From this IoU an object counts as matched. Two shapes are compared around one centre, which gives
# an upper bound of the IoU of an anchor and an object at any place.
MATCHABLE = 0.5
MOST_SIZES, MOST_RATIOS = 5, 3  # of a level; COCO's and VOC's usual anchors have up to 4 and 3
ENOUGH = 0.02  # the share of unmatched objects at which no more anchors are tried
_MOST_BOXES = 10_000  # that are looked at
_ROUNDS = 30  # of k-means


class AnchorSizes(NamedTuple):
    """Arguments of an AnchorGrid, and the share of the objects that its anchors do not match.

    sizes: numbers for one level; a list for each of several levels, the finest first.
    """

    sizes: Union[List[int], List[List[int]]]
    ratios: List[float]
    unmatched: float


def propose_anchors(boxes: np.ndarray, strides: Sequence[float]) -> AnchorSizes:
    """Returns the fewest anchors that match nearly all objects, or else those that match most.

    boxes: (M, 2) widths and heights of at least one object in pixels of the network's input.
    strides: those of the levels, the finest first. No size is below the stride of its level,
        because an object between two cells would be missed.
    """
    tried: List[AnchorSizes] = []
    for candidate in _candidates(boxes, strides):
        tried.append(candidate)
        if candidate.unmatched <= ENOUGH:
            return candidate
    return min(tried, key=lambda each: each.unmatched)


def closest_anchors(boxes: np.ndarray, strides: Sequence[float], most: int) -> AnchorSizes:
    """Returns the anchors of largest mean IoU with the objects, at most ``most`` at a cell.

    The other arguments are those of ``propose_anchors``.
    """
    fitting = _candidates(boxes, strides, most)
    return max(fitting, key=lambda each: shape_iou(boxes, sides_of(each)).max(axis=1).mean())


def _candidates(
    boxes: np.ndarray, strides: Sequence[float], most: int = MOST_SIZES * MOST_RATIOS
) -> Iterator[AnchorSizes]:
    """Yields anchors for each number of sizes and ratios, the fewest anchors first."""
    step = -(-len(boxes) // _MOST_BOXES)
    logs = np.log(np.maximum(boxes[::step], 1))
    areas, ratios = logs.sum(axis=1) / 2, logs[:, 1] - logs[:, 0]
    counts = [(k, m) for k in range(1, MOST_SIZES + 1) for m in range(1, MOST_RATIOS + 1)]
    for of_level, number in sorted(counts, key=lambda pair: pair[0] * pair[1]):
        if of_level * number > max(most, 1):
            return
        sizes = np.exp(_centres(areas, of_level * len(strides))).reshape(len(strides), of_level)
        sizes = np.maximum(np.round(sizes), np.array(strides)[:, None])
        chosen = np.round(np.exp(_centres(ratios, number)), 2)
        yield _judged(np.exp(logs), sizes.astype(int), chosen)


def sides_of(anchors: AnchorSizes) -> np.ndarray:
    """Returns the widths and heights (A, 2) of the anchors of all levels, one after another."""
    sizes = np.array(anchors.sizes, np.float64)
    if sizes.ndim == 1:
        sizes = sizes[None]
    root = np.sqrt(anchors.ratios)[None, :, None]
    widths, heights = sizes[:, None] / root, sizes[:, None] * root
    return np.stack([widths.reshape(-1), heights.reshape(-1)], axis=1)


def shape_iou(boxes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Returns the IoU (M, A) of widths and heights (M, 2) and (A, 2) around one centre."""
    overlap = np.minimum(boxes[:, None], anchors[None]).prod(axis=2)
    return overlap / (boxes.prod(axis=1)[:, None] + anchors.prod(axis=1)[None] - overlap)


def _judged(boxes: np.ndarray, sizes: np.ndarray, ratios: np.ndarray) -> AnchorSizes:
    """Returns the AnchorSizes of sizes (levels, k) and ratios (m,)."""
    lists: List[List[int]] = sizes.tolist()
    anchors = AnchorSizes(lists[0] if len(lists) == 1 else lists, ratios.tolist(), 0.0)
    unmatched = float((shape_iou(boxes, sides_of(anchors)).max(axis=1) < MATCHABLE).mean())
    return anchors._replace(unmatched=unmatched)


def _centres(values: np.ndarray, count: int) -> np.ndarray:
    """Returns ``count`` centres of numbers by k-means, sorted; it begins with quantiles."""
    centres = np.quantile(values, (np.arange(count) + 0.5) / count)
    for _ in range(_ROUNDS):
        nearest = np.abs(values[:, None] - centres[None]).argmin(axis=1)
        groups: Tuple[np.ndarray, ...] = tuple(values[nearest == group] for group in range(count))
        centres = np.array([g.mean() if len(g) else c for g, c in zip(groups, centres)])
    return np.sort(centres)
