"""RPNTargets and RoITargets against loops; samplers that draw all leave nothing to chance."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mxnet.gluon import HybridBlock

from detkit.targets import (
    OHEM,
    IoUBalancedSampler,
    MaxIoUAssigner,
    PseudoSampler,
    RandomSampler,
    RoITargets,
    RPNTargets,
)
from support.oracles import anchor_grid, assign, clip, encode, iou_matrix, sample_counts

ALL = {"size": 10000, "positive_share": 1}
WEIGHTS = (10, 10, 5, 5)


@st.composite
def objects(draw, sizes):
    """gt_boxes (B, G, 4), gt_labels (B, G) of three classes: 0 to G real ones in each image.

    The label alone says what is padding, whatever its box.
    """
    slots = draw(st.integers(1, 4))
    boxes = np.zeros((len(sizes), slots, 4), "float32")
    boxes[:] = draw(st.sampled_from([[0, 0, 0, 0], [2, 2, 14, 14]]))
    labels = np.full((len(sizes), slots), -1, "float32")
    for row, (h, w) in enumerate(sizes):
        for slot in range(draw(st.integers(0, slots))):
            x, y = draw(st.integers(0, w - 2)), draw(st.integers(0, h - 2))
            right, bottom = draw(st.integers(x + 1, w)), draw(st.integers(y + 1, h))
            boxes[row, slot], labels[row, slot] = [x, y, right, bottom], draw(st.integers(0, 2))
    return boxes, labels


def levels(*anchors):
    """The anchors (N, 4) of each level as the first argument of a block."""
    return [[mx.nd.array(level[None]) for level in anchors]]


def nd(*arrays):
    return [mx.nd.array(array) for array in arrays]


SIZES = ((48, 64), (32, 40))


def test_a_negative_straddle_is_refused():
    with pytest.raises(ValueError, match="^straddle: .*at least 0 or null.* -1;"):
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


@st.composite
def proposed(draw):
    """proposals (2, R, 4) on whole pixels, the last ones padding (zeros, score -1)."""
    count = draw(st.integers(1, 6))
    boxes = np.zeros((2, count, 4), "float32")
    scores = np.full((2, count), -1, "float32")
    for row in range(2):
        for slot in range(draw(st.integers(0, count))):
            x, y = draw(st.integers(0, 30)), draw(st.integers(0, 30))
            boxes[row, slot] = [x, y, x + draw(st.integers(1, 30)), y + draw(st.integers(1, 30))]
            scores[row, slot] = 0.5
    return boxes, scores


def roi_targets(size, positive_share):
    assigner = MaxIoUAssigner(0.5, 0.5, best_for_object=False)
    return RoITargets(assigner, RandomSampler(size, positive_share), WEIGHTS)


def expected_rois(proposals, scores, gt_boxes, gt_labels):
    """Of one image: {(roi, label, targets)} as tuples, of all that can be trained on."""
    real = gt_boxes[gt_labels >= 0]
    rois = [*proposals[scores >= 0], *real]
    labels, matched = assign(
        iou_matrix(rois, real), np.ones(len(rois), bool), 0.5, 0.5, best_for_object=False
    )
    rows = []
    for roi, label, g in zip(rois, labels, matched):
        positive = label == 1
        target = encode(real[g], roi, WEIGHTS) if positive else [0] * 4
        rows.append((*roi, 1 + gt_labels[g] if positive else 0, *target))
    return rows


@given(proposed(), objects(SIZES))
def test_roi_targets(proposals, truth):
    found = [a.asnumpy() for a in roi_targets(**ALL)(*nd(*proposals, *truth))]
    rows = proposals[0].shape[1] + truth[0].shape[1]
    assert [a.shape for a in found] == [(2, rows, 4), (2, rows), (2, rows, 4)]
    assert all(np.isfinite(a).all() for a in found)
    for rois, labels, targets, *image in zip(*found, *proposals, *truth):
        targets = np.where(labels[:, None] > 0, targets, 0)
        trained = np.concatenate([rois, labels[:, None], targets], axis=1)[labels >= 0]
        expected = np.reshape(expected_rois(*image), (-1, 9))
        assert len(trained) == len(expected)
        order, other = (np.lexsort(a.T[:5].round(3)) for a in (trained, expected))
        np.testing.assert_allclose(trained[order], expected[other], rtol=1e-4, atol=1e-3)


@given(proposed(), objects(SIZES), st.integers(1, 7), st.sampled_from([0.25, 0.5, 1]))
def test_roi_targets_counts(proposals, truth, size, positive_share):
    block = roi_targets(size, positive_share)
    found = [a.asnumpy() for a in block(*nd(*proposals, *truth))]
    assert found[1].shape[1] == min(size, proposals[0].shape[1] + truth[0].shape[1])
    for labels, *image in zip(found[1], *proposals, *truth):
        members = np.array([row[4] > 0 for row in expected_rois(*image)], int)
        counts = (labels > 0).sum(), (labels == 0).sum()
        assert counts == sample_counts(members, size, positive_share)


def test_objects_join_the_proposals():
    proposals, scores = np.zeros((1, 3, 4)), -np.ones((1, 3))
    inputs = nd(proposals, scores, [[[4, 4, 20, 30], [0, 0, 0, 0]]], [[2, -1]])
    rois, labels, targets = (a.asnumpy()[0] for a in roi_targets(4, 0.5)(*inputs))
    assert labels.tolist() == [3, -1, -1, -1]
    assert rois[0].tolist() == [4, 4, 20, 30]
    assert targets[0].tolist() == [0, 0, 0, 0]


def test_targets_hybridized_are_those_of_the_plain_blocks():
    anchors = anchor_grid(3, 4, 16, (12, 24), (0.25, 1))
    boxes, labels = [[[2, 2, 14, 14]], [[8, 3, 30, 31]]], [[1], [0]]
    proposals, scores = np.stack([anchors[:9], anchors[9:18]]), np.ones((2, 9))
    for block, inputs in (
        (
            RPNTargets(MaxIoUAssigner(), RandomSampler(9), WEIGHTS),
            [*levels(anchors), *nd(SIZES, boxes, labels)],
        ),
        (roi_targets(6, 0.5), nd(proposals, scores, boxes, labels)),
    ):
        mx.random.seed(3)
        plain = [a.asnumpy() for a in block(*inputs)]
        block.hybridize()
        mx.random.seed(3)
        for a, b in zip(plain, block(*inputs)):
            np.testing.assert_allclose(a, b.asnumpy(), rtol=1e-6)


class ByNumber(HybridBlock):
    """Draws the boxes for which a number it needs is above 1/4 and keeps the class of the rest."""

    size = None

    def __init__(self, need):
        super().__init__()
        self.needs = (need,)

    def hybrid_forward(self, F, labels, numbers):
        return F.where(numbers > 0.25, labels, -F.ones_like(labels))


# Half and three eighths of it inside one of two objects; a box beside both; a region is no object.
ROIS = [[0, 0, 8, 16], [0, 0, 16, 6], [40, 0, 50, 9], [20, 0, 30, 10]]
OBJECTS, KINDS = [[20, 0, 30, 10], [0, 0, 16, 16], [0, 30, 9, 40]], [-2, 1, -1]


def apart(sampler):
    assigner = MaxIoUAssigner(0.5, 0.5, best_for_object=False, crowd_share=1.0)
    block = RoITargets(assigner, sampler, WEIGHTS)
    block.hybridize()
    return block


def sampled(block, *losses_of):
    rois, labels, _ = block(*nd([ROIS], np.ones((1, 4)), [OBJECTS], [KINDS]), *losses_of)
    rows = zip(rois.asnumpy()[0].tolist(), labels.asnumpy()[0].tolist())
    return [(roi, label) for roi, label in rows if label >= 0]


def test_a_sampler_that_needs_ious_gets_those_with_the_objects():
    found = sampled(apart(ByNumber("iou")))
    assert sorted(found) == [(ROIS[0], 2), (ROIS[1], 0), (OBJECTS[1], 2)]


def test_a_sampler_that_needs_losses_gets_them_of_every_candidate():
    seen = []

    def losses_of(rois, labels, targets):
        seen.extend(a.shape for a in (rois, labels, targets))
        return mx.nd.array([[0, 0, 1, 0, 0, 2, 0]])

    found = sampled(apart(ByNumber("loss")), losses_of)
    assert sorted(found) == [(OBJECTS[1], 2), (ROIS[2], 0)]
    assert seen == [(1, 7, 4), (1, 7), (1, 7, 4)]


def test_losses_are_computed_for_a_sampler_that_needs_them_only():
    def losses_of(*_):
        raise AssertionError("nobody needs losses here")

    assert len(sampled(apart(PseudoSampler()), losses_of)) == 5


def test_ohem_samples_the_rois_of_largest_loss():
    block = apart(OHEM(size=2, iou=0.7))
    found = sampled(block, lambda *_: mx.nd.array([[5, 6, 7, 1, 9, 2, 9]]))
    assert sorted(found) == [(ROIS[1], 0), (ROIS[2], 0)]


def test_everything_is_trained_on_without_sampling():
    block = apart(PseudoSampler())
    rois, labels, targets = block(*nd([ROIS], np.ones((1, 4)), [OBJECTS], [KINDS]))
    assert [a.shape for a in (rois, labels, targets)] == [(1, 7, 4), (1, 7), (1, 7, 4)]
    assert labels.asnumpy()[0].tolist() == [2, 2, 0, 0, 0, -1, -1]


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
    message = "the sampler OHEM needs loss and box, which RoIs have and anchors have not"
    with pytest.raises(ValueError, match=message):
        RPNTargets(MaxIoUAssigner(), OHEM(), WEIGHTS)


def test_a_need_that_nobody_fills_is_refused():
    with pytest.raises(ValueError, match="the sampler ByNumber needs score; there are iou, box"):
        apart(ByNumber("score"))
