"""RoITargets against loops over proposals; samplers that draw all leave nothing to chance."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detkit.targets import OHEM, MaxIoUAssigner, PseudoSampler, RandomSampler, RoITargets
from support.oracles import anchor_grid, assign, encode, iou_matrix, sample_counts
from support.truth import (
    ALL,
    SIZES,
    WEIGHTS,
    ByNumber,
    assert_hybridizing_changes_nothing,
    nd,
    objects,
)


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


@given(proposed(), objects(SIZES), st.sampled_from([0, 0.25]))
def test_negatives_are_the_proposals_that_overlap_objects_a_little(proposals, truth, low):
    assigner = MaxIoUAssigner(0.75, 0.5, neg_low=low, best_for_object=False)
    targets = RoITargets(assigner, RandomSampler(**ALL), WEIGHTS)
    (boxes, scores), (gt_boxes, gt_labels) = proposals, truth
    found = targets.negatives(*nd(boxes, scores, gt_boxes, gt_labels)).asnumpy()
    for row in range(2):
        overlaps = iou_matrix(boxes[row], gt_boxes[row][gt_labels[row] >= 0])
        best = overlaps.max(axis=1, initial=0)
        negative = (scores[row] >= 0) & (best >= low) & (best < 0.5)
        np.testing.assert_array_equal(found[row], np.where(negative, scores[row], -1))


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


def test_hybridized_targets_are_those_of_the_plain_block():
    anchors = anchor_grid(3, 4, 16, (12, 24), (0.25, 1))
    proposals, scores = np.stack([anchors[:9], anchors[9:18]]), np.ones((2, 9))
    truth = [[[2, 2, 14, 14]], [[8, 3, 30, 31]]], [[1], [0]]
    assert_hybridizing_changes_nothing(roi_targets(6, 0.5), nd(proposals, scores, *truth))


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


def test_a_need_that_nobody_fills_is_refused():
    with pytest.raises(ValueError, match="^sampler: .*iou, box and loss.* ByNumber.* score"):
        apart(ByNumber("score"))


def test_a_sampler_by_losses_is_not_called_without_them():
    with pytest.raises(TypeError, match="^losses_of: "):
        sampled(apart(OHEM(size=2)))
