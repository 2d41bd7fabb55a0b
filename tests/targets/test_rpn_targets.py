"""RPNTargets against loops over anchors; samplers that draw all leave nothing to chance."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given, settings

from detkit.targets import (
    OHEM,
    DenseTargets,
    IoUBalancedSampler,
    MaxIoUAssigner,
    PseudoSampler,
    RandomSampler,
    RPNTargets,
)
from support.oracles import anchor_grid, assign, clip, encode, iou_matrix
from support.truth import (
    ALL,
    SIZES,
    WEIGHTS,
    ByNumber,
    assert_hybridizing_changes_nothing,
    nd,
    objects,
)


def levels(*anchors):
    """The anchors (N, 4) of each level as the first argument of a block."""
    return [[mx.nd.array(level[None]) for level in anchors]]


def test_a_negative_straddle_is_refused():
    with pytest.raises(ValueError, match="^straddle: .*null.* -1;"):
        RPNTargets(MaxIoUAssigner(), RandomSampler(), WEIGHTS, straddle=-1)


@pytest.mark.parametrize("straddle", [None, 0, 6])
@given(truth=objects(SIZES))
@settings(max_examples=20)
def test_rpn_targets(straddle, truth):
    # Sides that float32 holds exactly: anchors that are equally good stay so.
    anchors = anchor_grid(3, 4, 16, (12, 24), (0.25, 1)).astype("float32")
    gt_boxes, gt_labels = truth
    block = RPNTargets(MaxIoUAssigner(0.5, 0.25), RandomSampler(**ALL), WEIGHTS, straddle)
    found = [a.asnumpy() for a in block(*levels(anchors), *nd(SIZES, gt_boxes, gt_labels))]
    for row, size in enumerate(SIZES):
        real = gt_boxes[row][gt_labels[row] >= 0]
        crossing = np.abs(anchors - [clip(anchor, size) for anchor in anchors]).max(axis=1)
        candidates = crossing <= (np.inf if straddle is None else straddle)
        labels, matched = assign(iou_matrix(anchors, real), candidates, 0.5, 0.25)
        assert found[0][row].tolist() == labels.tolist()
        positive = labels == 1
        expected = [
            encode(real[g], a, WEIGHTS) for g, a in zip(matched[positive], anchors[positive])
        ]
        np.testing.assert_allclose(
            found[1][row][positive], np.reshape(expected, (-1, 4)), rtol=1e-4, atol=1e-4
        )
        assert np.isfinite(found[1][row]).all()


def test_rpn_targets_of_an_image_smaller_than_every_anchor():
    anchors = anchor_grid(1, 1, 16, (128, 256), (1,))
    block = RPNTargets(MaxIoUAssigner(), RandomSampler(), WEIGHTS, straddle=0)
    labels, targets = block(*levels(anchors), *nd([[16, 16]], [[[2, 2, 9, 9]]], [[0]]))
    assert (labels.asnumpy() == -1).all()
    assert np.isfinite(targets.asnumpy()).all()


def test_rpn_targets_draw_from_each_image():
    anchors = anchor_grid(3, 4, 16, (12, 24), (0.25, 1))
    block = RPNTargets(MaxIoUAssigner(), RandomSampler(6), WEIGHTS, straddle=None)
    boxes = [[[2, 2, 14, 14]], [[0, 0, 0, 0]]]
    labels, _ = block(*levels(anchors), *nd(SIZES, boxes, [[1], [-1]]))
    assert (labels.asnumpy() >= 0).sum(axis=1).tolist() == [6, 6]
    assert (labels.asnumpy() > 0).any(axis=1).tolist() == [True, False]


def test_rpn_targets_of_levels_are_those_of_all_anchors_together():
    anchors = anchor_grid(3, 4, 16, (12, 24), (0.25, 1))
    block = RPNTargets(MaxIoUAssigner(0.5, 0.25), RandomSampler(**ALL), WEIGHTS, straddle=None)
    truth = nd(SIZES, [[[2, 2, 14, 14]], [[8, 3, 30, 31]]], [[1], [0]])
    truth = list(truth)
    together = block(*levels(anchors), *truth)
    apart = block(*levels(anchors[:30], anchors[30:]), *truth)
    for a, b in zip(apart, together):
        assert (a == b).asnumpy().all()


def test_hybridized_targets_are_those_of_the_plain_block():
    anchors = anchor_grid(3, 4, 16, (12, 24), (0.25, 1))
    block = RPNTargets(MaxIoUAssigner(), RandomSampler(9), WEIGHTS)
    truth = nd(SIZES, [[[2, 2, 14, 14]], [[8, 3, 30, 31]]], [[1], [0]])
    assert_hybridizing_changes_nothing(block, [*levels(anchors), *truth])


def test_dense_targets_are_the_classes_of_the_objects_even_across_the_border():
    anchors = np.array([[2, 2, 14, 14], [-4, 0, 12, 12], [20, 20, 40, 40]], "float32")
    block = DenseTargets(MaxIoUAssigner(0.5, 0.4), PseudoSampler(), WEIGHTS)
    labels, _ = block(
        *levels(anchors), *nd([[48, 64]], [[[2, 2, 14, 14], [0, 0, 12, 12]]], [[2, 0]])
    )
    assert labels.asnumpy()[0].tolist() == [3, 1, 0]


def test_anchors_are_sampled_by_their_ious():
    anchors = np.array([[0, 0, 8, 16], [0, 0, 16, 6], [0, 0, 4, 16], [18, 0, 30, 12]], "float32")
    block = RPNTargets(MaxIoUAssigner(crowd_share=1.0), ByNumber("iou"), WEIGHTS, straddle=None)
    block.hybridize()
    inputs = nd([[64, 64]], [[[20, 0, 30, 10], [0, 0, 16, 16]]], [[-2, 1]])
    labels, _ = block(*levels(anchors), *inputs)
    assert labels.asnumpy()[0].tolist() == [1, -1, -1, -1]


def test_rpn_targets_take_an_iou_balanced_sampler():
    anchors = anchor_grid(3, 4, 16, (12, 24), (0.25, 1))
    block = RPNTargets(MaxIoUAssigner(), IoUBalancedSampler(9), WEIGHTS, straddle=None)
    block.hybridize()
    labels, _ = block(*levels(anchors), *nd(SIZES, [[[2, 2, 14, 14]]] * 2, [[1], [-1]]))
    assert (labels.asnumpy() >= 0).sum(axis=1).tolist() == [9, 9]


def test_a_sampler_by_losses_is_refused_for_anchors():
    for kind in (RPNTargets, DenseTargets):
        with pytest.raises(ValueError, match="^sampler: .* iou.* OHEM.* loss and box.*roi_targets"):
            kind(MaxIoUAssigner(), OHEM(), WEIGHTS)
