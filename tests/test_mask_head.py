"""MaskHead, its targets and its loss, against numpy."""

import kernel_roi_oracles
import mxnet as mx
import numpy as np
import pytest

from detkit.models.roi_heads import MaskHead
from detkit.models.roi_heads.mask import masks_of
from detkit.targets import MaskTargets
from detkit.train_steps import MaskLoss

MASKS = np.zeros((2, 3, 40, 50), "uint8")
MASKS[0, 0, 4:20, 6:30] = MASKS[0, 1, 10:38, 20:49] = MASKS[1, 0, 5:12, 5:40] = 1
MASKS[0, 0, 8:12, 10:20] = 0
BOXES = np.array([[[6, 4, 30, 20], [20, 10, 49, 38], [0] * 4], [[5, 5, 40, 12], [0] * 4, [0] * 4]])
LABELS = np.array([[2, 0, -1], [1, -1, -1]])
# The positive RoIs come first: 1 + class; then background; then rows that are not trained on.
ROIS = np.array(
    [
        [[7, 2, 28, 21], [22, 9, 47, 40], [0, 0, 9, 9], [1, 1, 5, 5]],
        [[4, 4, 44, 14], [30, 20, 48, 39], [0, 0, 9, 9], [0, 0, 0, 0]],
    ]
)
ROI_LABELS = np.array([[3, 1, 0, 0], [2, 0, 0, -1]])


def nd(*arrays):
    return [mx.nd.array(array, dtype="float32") for array in arrays]


def targets_of(block):
    masks = mx.nd.array(MASKS, dtype="uint8")
    return [a.asnumpy() for a in block(*nd(ROIS, ROI_LABELS, BOXES, LABELS), masks)]


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_the_head_doubles_the_side(class_agnostic):
    head = MaskHead(6, 5, num_classes=3, convs=2, channels=4, class_agnostic=class_agnostic)
    head.initialize()
    logits = head(mx.nd.random.normal(shape=(7, 6, 5, 5)))
    assert head.size == 10
    assert logits.shape == (7, 1 if class_agnostic else 3, 10, 10)


def test_its_weights_have_torchvisions_names_and_shapes():
    head = MaskHead(6, 14, num_classes=3, channels=8)
    found = {name: p.shape for name, p in head._collect_params_with_prefix().items()}
    expected = {"mask_fcn1": (8, 6, 3, 3), "conv5_mask": (8, 8, 2, 2)}
    expected.update({f"mask_fcn{number}": (8, 8, 3, 3) for number in (2, 3, 4)})
    expected["mask_fcn_logits"] = (3, 8, 1, 1)
    assert found == {
        **{f"{name}.weight": shape for name, shape in expected.items()},
        **{f"{name}.bias": (3 if name == "mask_fcn_logits" else 8,) for name in expected},
    }


def test_without_convolutions_the_deconvolution_takes_the_features():
    head = MaskHead(6, 5, num_classes=3, convs=0, channels=4)
    assert head.conv5_mask.weight.shape == (6, 4, 2, 2)


@pytest.mark.parametrize("wrong", [{"convs": -1}, {"channels": 0}])
def test_senseless_arguments_of_the_head_are_refused(wrong):
    with pytest.raises(ValueError, match="convs is not negative and channels at least 1"):
        MaskHead(6, 5, 3, **wrong)


@pytest.mark.parametrize("classes", [1, 4])
def test_masks_of_picks_each_rows_class(classes):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, classes, 5, 5)).astype("float32")
    labels = np.array([[0, 3, -1], [2, 1, 0]], "float32")
    found = masks_of(mx.nd, *nd(logits, labels)).asnumpy()
    own = np.clip(labels.astype(int).ravel(), 0, classes - 1)
    np.testing.assert_array_equal(found, logits[np.arange(6), own].reshape(2, 3, 5, 5))


@pytest.mark.parametrize("threshold", [None, 0.5, 0.9])
def test_targets_are_the_objects_masks_under_the_positive_rois(threshold):
    rois, classes, masks = targets_of(MaskTargets(7, 2, threshold))
    np.testing.assert_array_equal(rois, ROIS[:, :2])
    assert classes.tolist() == [[2, 0], [1, -1]]
    expected = kernel_roi_oracles.mask_target(
        MASKS, ROIS[:, :2].astype("float32"), np.array([[0, 1], [0, 0]]), 7
    )
    if threshold is not None:
        clear = np.abs(expected - threshold) > 1e-3
        np.testing.assert_array_equal(masks[clear], (expected >= threshold)[clear])
        assert set(np.unique(masks)) == {0, 1}
    else:
        np.testing.assert_allclose(masks, expected, atol=1e-5)
    assert 0.3 < masks[0].mean() < 1


@pytest.mark.parametrize("rois", [4, 9, None])
def test_no_more_rois_come_out_than_go_in(rois):
    found = targets_of(MaskTargets(3, rois))
    assert [a.shape for a in found] == [(2, 4, 4), (2, 4), (2, 4, 3, 3)]
    assert found[1].tolist() == [[2, 0, -1, -1], [1, -1, -1, -1]]


def test_targets_hybridized_are_those_of_the_plain_block():
    block = MaskTargets(7, 3)
    plain = targets_of(block)
    block.hybridize()
    for a, b in zip(plain, targets_of(block)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("threshold", [0, 1.1])
def test_a_senseless_threshold_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold is above 0 and at most 1, or null"):
        MaskTargets(7, 3, threshold)


@pytest.mark.parametrize("classes", [1, 3])
def test_the_loss_is_that_of_the_own_mask_over_the_positives(classes):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, classes, 5, 5)).astype("float32")
    labels = np.array([[0, 2, -1], [1, -1, -1]], "float32")
    targets = rng.integers(0, 2, (2, 3, 5, 5)).astype("float32")
    found = MaskLoss(weight=2)(*nd(logits, labels, targets))
    losses = []
    for row, (label, target) in enumerate(zip(labels.ravel(), targets.reshape(6, 5, 5))):
        if label >= 0:
            probability = 1 / (1 + np.exp(-logits[row, min(int(label), classes - 1)]))
            right = np.where(target == 1, probability, 1 - probability)
            losses.append(-np.log(right).mean())
    assert found.shape == (1,)
    assert found.asscalar() == pytest.approx(2 * np.mean(losses), rel=1e-5)


def test_only_the_own_mask_of_positives_gets_a_gradient():
    logits = mx.nd.zeros((3, 2, 4, 4))
    logits.attach_grad()
    with mx.autograd.record():
        loss = MaskLoss()(logits, mx.nd.array([[1, 0, -1]]), mx.nd.ones((1, 3, 4, 4)))
    loss.backward()
    trained = np.abs(logits.grad.asnumpy()).sum(axis=(2, 3)) > 0
    assert trained.tolist() == [[False, True], [True, False], [False, False]]


def test_without_positives_the_loss_is_zero():
    loss = MaskLoss()(*nd(np.ones((2, 3, 4, 4)), [[-1, -1]], np.ones((1, 2, 4, 4))))
    assert loss.asscalar() == 0
