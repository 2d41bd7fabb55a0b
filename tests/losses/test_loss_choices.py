"""RPNLoss and RoILoss with what a config can put in the place of the paper's losses."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit.losses import CrossEntropy, GIoULoss, IoULoss, RoILoss, RPNLoss, SmoothL1
from support.loss_oracles import giou_loss
from support.oracles import cross_entropy, decode

ANCHORS = np.array([[[0, 0, 10, 20], [5, 5, 25, 15], [0, 0, 0, 0], [30, 8, 40, 24]]], "float32")
SMALL = np.random.default_rng(1).normal(0, 0.3, (2, 1, 4, 4)).astype("float32")


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
    "make, message",
    [
        (lambda: RPNLoss(CrossEntropy()), "box: the loss CrossEntropy compares labels; one is "),
        (lambda: RPNLoss(GIoULoss(), CrossEntropy()), "needed that compares binary"),
        (lambda: RoILoss(SmoothL1(), GIoULoss()), "class: the loss GIoULoss compares boxes; .* la"),
        (
            lambda: RoILoss(SmoothL1(), CrossEntropy([1.0, 2.0]), num_classes=3),
            "class: there are 2 weights for 3 classes; expected 4, that of the background first",
        ),
    ],
)
def test_losses_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
