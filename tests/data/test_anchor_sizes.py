"""Anchors that are proposed from boxes: they match what an AnchorGrid of them would match."""

import numpy as np
import pytest

from detkit.data.anchor_sizes import (
    ENOUGH,
    MATCHABLE,
    closest_anchors,
    propose_anchors,
    shape_iou,
    sides_of,
)
from detkit.models.anchors import AnchorGrid


def boxes_of(sides, ratios, count=300, spread=0.1, seed=0):
    """Widths and heights (M, 2) around the squares' sides and the ratios h / w."""
    rng = np.random.default_rng(seed)
    side = rng.choice(sides, count) * np.exp(rng.normal(0, spread, count))
    root = np.sqrt(rng.choice(ratios, count) * np.exp(rng.normal(0, spread, count)))
    return np.stack([side / root, side * root], axis=1)


def unmatched_by_a_grid(boxes, found, strides):
    """The share of the boxes that no anchor of the built grid matches, centre on centre."""
    grid = AnchorGrid(sizes=found.sizes, ratios=found.ratios, strides=strides)
    corners = np.concatenate(grid.shapes)
    best = np.zeros(len(boxes))
    for w, h in corners[:, 2:] - corners[:, :2]:
        overlap = np.minimum(boxes[:, 0], w) * np.minimum(boxes[:, 1], h)
        best = np.maximum(best, overlap / (boxes.prod(axis=1) + w * h - overlap))
    return (best < MATCHABLE).mean()


def test_few_kinds_of_objects_need_few_anchors():
    found = propose_anchors(boxes_of([40], [1]), strides=[16])
    (size,) = found.sizes
    assert size == pytest.approx(40, rel=0.05)
    assert found.ratios == [pytest.approx(1, rel=0.05)]
    assert found.unmatched <= ENOUGH


def test_two_kinds_are_found_and_so_is_their_shape():
    found = propose_anchors(boxes_of([30, 120], [2]), strides=[8])
    np.testing.assert_allclose(found.sizes, [30, 120], rtol=0.06)
    np.testing.assert_allclose(found.ratios, [2], rtol=0.06)
    wide = propose_anchors(boxes_of([60], [0.25, 4]), strides=[16])
    np.testing.assert_allclose(wide.ratios, [0.25, 4], rtol=0.06)


@pytest.mark.parametrize("strides", [[16], [8, 16], [4, 8, 16, 32, 64]])
@pytest.mark.parametrize("sides", [[12, 25, 50, 100, 200, 400], [30]])
def test_the_share_is_that_of_a_grid_of_these_anchors(strides, sides):
    boxes = boxes_of(sides, [0.5, 1, 2], spread=0.2)
    found = propose_anchors(boxes, strides)
    assert found.unmatched == pytest.approx(unmatched_by_a_grid(boxes, found, strides), abs=0.02)
    assert found == propose_anchors(boxes, strides)
    lists = found.sizes if len(strides) > 1 else [found.sizes]
    assert len(lists) == len(strides)
    assert all(min(sizes) >= stride for sizes, stride in zip(lists, strides))
    if len(sides) > 1 and len(strides) > 1:
        assert found.unmatched <= 0.05


@pytest.mark.parametrize("strides", [[16], [4, 8]])
def test_the_closest_anchors_are_those_of_a_grid_and_no_more_than_allowed(strides):
    boxes = boxes_of([12, 25, 100], [0.5, 2], spread=0.2)
    before = 0.0
    for most in (1, 4, 15):
        found = closest_anchors(boxes, strides, most)
        grid = AnchorGrid(sizes=found.sizes, ratios=found.ratios, strides=strides)
        assert grid.per_cell <= most
        corners = np.concatenate(grid.shapes)
        np.testing.assert_allclose(
            np.sort(sides_of(found), axis=0),
            np.sort(corners[:, 2:] - corners[:, :2], axis=0),
            rtol=1e-4,
        )
        mean = shape_iou(boxes, sides_of(found)).max(axis=1).mean()
        assert mean > before
        before = mean


def test_objects_of_every_size_are_matched_as_far_as_the_most_anchors_go():
    boxes = boxes_of([2.0**n for n in range(1, 11)], [0.1, 1, 10])
    found = propose_anchors(boxes, [16])
    assert len(found.sizes) <= 5 and len(found.ratios) <= 3
    assert 0 < found.unmatched < 0.7


def test_one_box_and_many_boxes():
    one = propose_anchors(np.array([[20.0, 40.0]]), [16])
    assert (one.sizes, one.ratios, one.unmatched) == ([28], [2.0], 0.0)
    many = propose_anchors(boxes_of([40], [1], count=100_000), [16])
    assert many.unmatched <= ENOUGH
