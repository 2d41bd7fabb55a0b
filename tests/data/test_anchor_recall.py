"""The recall of anchors, beside plain loops over every anchor of a grid."""

import numpy as np
import pytest

from detkit.data.anchor_recall import Grid, centred_iou, grid_iou, k_means_shapes, recall_of
from detkit.data.anchor_sizes import shape_iou
from support import oracles


def drawn(count, seed=0, size=(96, 128)):
    """(boxes (M, 4) in images of a size, their sizes (M, 2))"""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, [size[1], size[0]], (2, count, 2))
    boxes = np.concatenate([corners.min(axis=0), corners.max(axis=0) + 1], axis=1)
    return np.clip(boxes, 0, [size[1], size[0]] * 2), np.tile(np.array(size, float), (count, 1))


@pytest.mark.parametrize("straddle", [None, 0, 5])
@pytest.mark.parametrize("offset", [0, 0.5])
def test_the_nearest_anchor_is_the_best_of_all(straddle, offset):
    boxes, sizes = drawn(60)
    sides, strides = np.array([[12.0, 24], [40, 40], [70, 200]]), np.array([8.0, 16, 32])
    everything = []
    for (width, height), stride in zip(sides, strides):
        rows, columns = int(96 / stride), int(128 / stride)
        size, ratio = np.sqrt(width * height), height / width
        everything.append(oracles.anchor_grid(rows, columns, stride, [size], [ratio], offset))
    anchors = np.concatenate(everything)
    if straddle is not None:
        beyond = np.abs(anchors - np.clip(anchors, 0, [128, 96] * 2)).max(axis=1)
        anchors = anchors[beyond <= straddle]
    expected = oracles.iou_matrix(anchors, boxes).max(axis=0)
    found = grid_iou(boxes, sizes, Grid(sides, strides, offset, straddle))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (found <= centred_iou(boxes, sides) + 1e-6).all()


def test_a_map_covers_the_padding():
    """An anchor whose centre lies in the padding may be the best of an object at the border."""
    box, size = np.array([[40.0, 0, 50, 30]]), np.array([[30.0, 50]])
    padded = grid_iou(box, size, Grid(np.array([[20.0, 40]]), np.array([32.0]), 0.5))
    alone = Grid(np.array([[20.0, 40]]), np.array([32.0]), 0.5, None, pad_multiple=1)
    assert padded == pytest.approx(oracles.iou([38, -4, 58, 36], box[0]))
    assert grid_iou(box, size, alone) == pytest.approx(padded)  # the last cell is a part of one


def test_without_an_anchor_in_the_image_nothing_is_reached():
    box, size = np.array([[0.0, 0, 30, 30]]), np.array([[30.0, 30]])
    assert grid_iou(box, size, Grid(np.array([[40.0, 40]]), np.array([8.0]), 0.5, 0)) == [0]


def test_recall_counts_from_the_threshold_on():
    assert recall_of(np.array([0.2, 0.5, 0.6, 0.7])) == (0.75, 0.25)


def test_k_means_finds_the_shapes_that_boxes_were_made_of():
    rng = np.random.default_rng(1)
    shapes = np.array([[10, 30], [40, 35], [200, 90]])
    sides = shapes[rng.integers(3, size=300)] + rng.normal(0, 1, (300, 2))
    boxes = np.concatenate([np.zeros((300, 2)), sides], axis=1)
    found = k_means_shapes(boxes, 3)
    np.testing.assert_allclose(found, shapes, atol=1.5)
    more = [shape_iou(sides, k_means_shapes(boxes, n)).max(axis=1).mean() for n in (1, 2, 3, 6)]
    assert more == sorted(more)
    assert k_means_shapes(boxes[:2], 4).shape == (4, 2)
