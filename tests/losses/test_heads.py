"""The losses of the heads: normalisers, gradients, and what a config can choose instead."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mxnet import autograd

from detkit.losses import (
    CrossEntropy,
    GIoULoss,
    IoULoss,
    RoILoss,
    RPNLoss,
    SigmoidBCE,
    SigmoidFocal,
    SmoothL1,
    SoftmaxFocal,
)
from support.gradients import gradient, slopes
from support.loss_oracles import focal, giou_loss
from support.oracles import (
    binary_cross_entropy,
    cross_entropy,
    decode,
    roi_losses,
    rpn_losses,
)
from support.tiny import assert_says

# oneDNN's softplus and MXNet's log_softmax are a few 1e-6 off where the loss is next to nothing.
ABSOLUTE = 1e-5

ANCHORS = np.array([[[0, 0, 10, 20], [5, 5, 25, 15], [0, 0, 0, 0], [30, 8, 40, 24]]], "float32")

SMALL = np.random.default_rng(1).normal(0, 0.3, (2, 1, 4, 4)).astype("float32")


@st.composite
def rpn_outputs(draw):
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 7)))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    labels = draw(arrays("float32", shape, elements=st.integers(-1, 1)))
    deltas, targets = rng.normal(0, 1, (2, *shape, 4)).astype("float32")
    return rng.normal(0, 3, shape).astype("float32"), deltas, labels, targets


def on_one_level(block, objectness, deltas, labels, targets):
    return block([objectness], [deltas], labels, targets)


@given(rpn_outputs())
def test_rpn_loss(outputs):
    found = on_one_level(RPNLoss(SmoothL1(1 / 9)), *map(mx.nd.array, outputs))
    assert [loss.shape for loss in found] == [(1,), (1,)]
    expected = rpn_losses(*outputs, beta=1 / 9)
    assert [loss.asscalar() for loss in found] == pytest.approx(expected, rel=1e-4, abs=ABSOLUTE)


@st.composite
def roi_outputs(draw):
    """logits (B * S, 1 + K), deltas (B * S, K or 1, 4), labels (B, S), targets (B, S, 4)."""
    shape = draw(st.tuples(st.integers(1, 2), st.integers(1, 5)))
    classes = draw(st.integers(1, 4))
    boxes = draw(st.sampled_from([1, classes]))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    count = shape[0] * shape[1]
    return (
        rng.normal(0, 3, (count, 1 + classes)).astype("float32"),
        rng.normal(0, 2, (count, boxes, 4)).astype("float32"),
        draw(arrays("float32", shape, elements=st.integers(-1, classes))),
        rng.normal(0, 2, (*shape, 4)).astype("float32"),
    )


@given(roi_outputs())
def test_roi_loss(outputs):
    found = RoILoss(SmoothL1(1.0))(*map(mx.nd.array, outputs))
    logits, deltas, labels, targets = outputs
    expected = roi_losses(logits, deltas, labels.ravel(), targets.reshape(-1, 4), beta=1.0)
    assert [loss.shape for loss in found] == [(1,), (1,)]
    assert [loss.asscalar() for loss in found] == pytest.approx(expected, rel=1e-4, abs=ABSOLUTE)


@pytest.mark.parametrize("boxes", [1, 3])
def test_gradient_of_roi_loss(boxes):
    rng = np.random.default_rng(0)
    logits, deltas = rng.normal(0, 1, (4, 4)), rng.normal(0, 2, (4, boxes, 4))
    labels, targets = mx.nd.array([[0, 3], [-1, 1]]), mx.nd.array(rng.normal(0, 2, (2, 2, 4)))
    block = RoILoss(SmoothL1(1.0))
    block.hybridize()

    def class_loss(x):
        return block(x, mx.nd.array(deltas), labels, targets)[0]

    def box_loss(x):
        return block(mx.nd.array(logits), x, labels, targets)[1]

    for loss, array in ((class_loss, logits), (box_loss, deltas)):
        array = array.astype("float32")
        np.testing.assert_allclose(gradient(loss, array), slopes(loss, array), atol=2e-3)


def test_rows_that_are_not_trained_on_have_no_gradient():
    block = RoILoss(SmoothL1(1.0))
    labels, targets = mx.nd.array([[-1, 0]]), mx.nd.full((1, 2, 4), 1e9)
    zeros = mx.nd.zeros((2, 1, 4))
    found = gradient(lambda x: block(x, zeros, labels, targets)[0], np.ones((2, 3), "float32"))
    assert (found[0] == 0).all()
    assert (found[1] != 0).all()
    found = gradient(
        lambda x: block(mx.nd.ones((2, 3)), x, labels, targets)[1], np.zeros((2, 1, 4), "float32")
    )
    assert (found == 0).all()


def test_without_a_sample_losses_and_gradients_are_zero():
    block = RPNLoss(SmoothL1(1 / 9))
    ignored, boxes = mx.nd.full((1, 3), -1), mx.nd.ones((1, 3, 4))
    losses = on_one_level(block, mx.nd.ones((1, 3)), boxes, ignored, boxes)
    assert [loss.asscalar() for loss in losses] == [0, 0]
    found = gradient(
        lambda x: on_one_level(block, x, boxes, ignored, boxes)[0], np.ones((1, 3), "float32")
    )
    assert (found == 0).all()


@pytest.mark.parametrize("block", [RPNLoss, RoILoss])
def test_weights_multiply_the_losses(block):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (1, 4) if block is RPNLoss else (4, 3))
    deltas = rng.normal(0, 1, (1, 4, 4) if block is RPNLoss else (4, 1, 4))
    labels, targets = np.array([[1, 0, 1, -1]]), rng.normal(0, 1, (1, 4, 4))
    inputs = [mx.nd.array(array) for array in (logits, deltas, labels, targets)]
    if block is RPNLoss:
        inputs[:2] = [inputs[0]], [inputs[1]]  # of one level
    plain = [loss.asscalar() for loss in block(SmoothL1())(*inputs)]
    weighted = block(SmoothL1(), class_weight=3, box_weight=0.5)(*inputs)
    assert min(plain) > 0
    assert [loss.asscalar() for loss in weighted] == pytest.approx([3 * plain[0], plain[1] / 2])


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("hybridized", [False, True])
def test_rpn_loss_by_locations(images, hybridized):
    """Ren et al. 2015, equation 1: cells of 3 anchors each, on levels of 4 x 5 and 2 x 3 cells."""
    rng = np.random.default_rng(0)
    counts = 4 * 5 * 3, 2 * 3 * 3
    objectness = [rng.normal(0, 1, (images, n)) for n in counts]
    deltas = [rng.normal(0, 1, (images, n, 4)) for n in counts]
    labels = rng.integers(-1, 2, (images, sum(counts)))
    targets = rng.normal(0, 1, (*labels.shape, 4))
    block = RPNLoss(SmoothL1(), box_weight=10.0, box_normalizer="locations", num_anchors=3)
    block.hybridize(hybridized)
    levels = [list(map(mx.nd.array, each)) for each in (objectness, deltas)]
    found = [loss.asscalar() for loss in block(*levels, *map(mx.nd.array, (labels, targets)))]
    together = [np.concatenate(each, axis=1) for each in (objectness, deltas)]
    class_loss, box_loss = rpn_losses(*together, labels, targets, beta=1)
    box_sum = box_loss * (labels >= 0).sum()
    assert found == pytest.approx([class_loss, 10 * box_sum / (images * (20 + 6))], rel=1e-4)


@given(rpn_outputs())
def test_rpn_loss_with_a_focal_loss(outputs):
    logits, deltas, labels, targets = outputs
    block = RPNLoss(SmoothL1(), SigmoidFocal(0.25, 2.0))
    found = on_one_level(block, *map(mx.nd.array, outputs))[0].asscalar()
    sampled = labels >= 0
    expected = sum(focal(z, t == 1, 0.25, 2.0) for z, t in zip(logits[sampled], labels[sampled]))
    assert found == pytest.approx(expected / max(sampled.sum(), 1), rel=1e-4, abs=ABSOLUTE)


@given(roi_outputs())
def test_roi_loss_with_a_binary_loss_of_every_logit(outputs):
    logits, _, labels, _ = outputs
    found = RoILoss(SmoothL1(), SigmoidBCE())(*map(mx.nd.array, outputs))[0].asscalar()
    rows = [(row, label) for row, label in zip(logits, labels.ravel()) if label >= 0]
    expected = sum(
        binary_cross_entropy(z, number == label)
        for row, label in rows
        for number, z in enumerate(row)
    )
    assert found == pytest.approx(expected / max(len(rows), 1), rel=1e-4, abs=ABSOLUTE)


def giou_of(weights, deltas, targets, rows):
    """The GIoU losses of the boxes that deltas and targets (4, 4) make of ANCHORS, of some rows."""
    return sum(
        giou_loss(*(decode(moves[i], ANCHORS[0, i], weights) for moves in (deltas, targets)))
        for i in rows
    )


def test_rpn_loss_of_boxes():
    deltas, targets = SMALL
    block = RPNLoss(GIoULoss(), box_weights=(2, 2, 1, 1), box_weight=10.0)
    block.hybridize()
    labels, logits = mx.nd.array([[1, 0, -1, 1]]), mx.nd.zeros((1, 4))
    arrays = ([logits], [mx.nd.array(deltas)], labels, mx.nd.array(targets))
    _, found = block(*arrays, [mx.nd.array(ANCHORS)])
    expected = 10 * giou_of((2, 2, 1, 1), deltas[0], targets[0], (0, 3)) / 3
    assert found.asscalar() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("boxes", [1, 3])
def test_roi_loss_of_boxes(boxes):
    weights, labels = (10, 10, 5, 5), [0, 2, -1, 3]
    deltas, (targets,) = SMALL[0, 0][:, None] * np.arange(1, boxes + 1)[:, None], SMALL[1]
    block = RoILoss(GIoULoss(), box_weights=weights)
    block.hybridize()
    arrays = (np.zeros((4, 4)), deltas, [labels], [targets], ANCHORS)
    _, found = block(*map(mx.nd.array, arrays))
    own = np.array([moves[min(max(k - 1, 0), boxes - 1)] for moves, k in zip(deltas, labels)])
    expected = giou_of(weights, own, targets, (1, 3)) / 3
    assert found.asscalar() == pytest.approx(expected, rel=1e-4)


def test_rows_without_an_object_do_not_spoil_a_loss_of_boxes():
    deltas = SMALL[0].copy()
    deltas[0, 1:3] = 1e30
    block = RPNLoss(IoULoss())
    labels, targets = mx.nd.array([[1, 0, -1, 0]]), mx.nd.array(SMALL[1])
    zeros, anchors = [mx.nd.zeros((1, 4))], [mx.nd.array(ANCHORS)]
    x = mx.nd.array(deltas)
    x.attach_grad()
    with autograd.record():
        loss = block(zeros, [x], labels, targets, anchors)[1]
    loss.backward()
    found = x.grad.asnumpy()
    assert np.isfinite(found).all()
    assert np.abs(found[0, 0]).max() > 0
    assert (found[0, 1:] == 0).all()


@pytest.mark.parametrize("box", [SmoothL1, GIoULoss])
def test_only_a_loss_of_boxes_reads_the_boxes(box):
    block = RPNLoss(box())
    block.hybridize()
    arrays = [mx.nd.zeros((1, 4))], [mx.nd.array(SMALL[0])], mx.nd.ones((1, 4))
    found = [
        block(*arrays, mx.nd.array(SMALL[1]), [mx.nd.array(anchors)])[1].asscalar()
        for anchors in (ANCHORS, ANCHORS * 1e-7)  # so small that a box has no area
    ]
    assert (found[0] == pytest.approx(found[1], rel=1e-4)) == (box is SmoothL1)


def test_roi_loss_with_weights_of_classes():
    logits = np.random.default_rng(0).normal(0, 2, (4, 3))
    zeros, labels = mx.nd.zeros((4, 1, 4)), mx.nd.array([[0, 2, -1, 1]])
    block = RoILoss(SmoothL1(), CrossEntropy([0.5, 1.0, 3.0]), num_classes=2)
    found = block(mx.nd.array(logits), zeros, labels, mx.nd.zeros((1, 4, 4)))[0].asscalar()
    of_rows = [cross_entropy(logits[i], k) for i, k in ((0, 0), (1, 2), (3, 1))]
    assert found == pytest.approx(np.dot(of_rows, [0.5, 3, 1]) / 3, rel=1e-5)


@pytest.mark.parametrize(
    ("make", "key", "found", "expected"),
    [
        (lambda: RPNLoss(SmoothL1(), box_normalizer="cells"), "box_normalizer", "cells", "sampled"),
        (
            lambda: RPNLoss(SmoothL1(), box_normalizer="locations"),
            "box_normalizer",
            "found None",
            "num_anchors",
        ),
        (lambda: RPNLoss(CrossEntropy()), "box", "CrossEntropy", "deltas or boxes"),
        (lambda: RPNLoss(GIoULoss(), CrossEntropy()), "class", "CrossEntropy", "binary"),
        (lambda: RoILoss(SmoothL1(), GIoULoss()), "class", "GIoULoss", "labels or binary"),
        (lambda: RoILoss(SmoothL1(), CrossEntropy([1, 2]), num_classes=3), "class", "found 2", "4"),
        (lambda: RoILoss(SmoothL1(), SoftmaxFocal([1, 2]), num_classes=3), "class", "found 2", "4"),
    ],
)
def test_losses_that_do_not_fit_are_refused(make, key, found, expected):
    with pytest.raises(ValueError, match=f"^{key}: ") as error:
        make()
    assert_says(str(error.value), found, expected)
