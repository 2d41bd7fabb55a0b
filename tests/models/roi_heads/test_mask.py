"""MaskHead against numpy."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest

from detkit.losses import MaskLoss
from detkit.models.roi_heads import MaskHead
from detkit.models.roi_heads.mask import SplitDeconv, joined, of_class
from detkit.naming import torch_name
from support import backbones
from support.refusals import assert_refused


def nd(*arrays):
    return [mx.nd.array(array, dtype="float32") for array in arrays]


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_the_head_doubles_the_side(class_agnostic):
    head = MaskHead(6, 5, num_classes=3, convs=2, channels=4, class_agnostic=class_agnostic)
    head.initialize()
    logits = head(mx.nd.random.normal(shape=(8, 6, 5, 5)), *nd([[0, 1, 2, -1]] * 2))
    assert head.size == 10
    assert logits.shape == (2, 4, 10, 10)
    assert head.masks.weight.shape[0] == (1 if class_agnostic else 3)


def test_names_and_shapes_of_its_weights():
    expected = {"convs.0.0": (8, 6, 3, 3), "deconv": (8, 8, 2, 2), "masks": (3, 8, 1, 1)}
    expected.update({f"convs.{number}.0": (8, 8, 3, 3) for number in (1, 2, 3)})
    assert backbones.torch_shapes(MaskHead(6, 14, num_classes=3, channels=8)) == {
        **{f"{name}.weight": shape for name, shape in expected.items()},
        **{f"{name}.bias": (3 if name == "masks" else 8,) for name in expected},
    }


@pytest.mark.parametrize("norm", [None, "BN"])
def test_the_layers_are_those_of_figure_4(norm):
    head = backbones.fill(MaskHead(6, 5, num_classes=3, convs=2, channels=4, norm=norm))
    values = {torch_name(name): p.data() for name, p in head._collect_params_with_prefix().items()}
    features = hidden = mx.nd.random.normal(shape=(2, 6, 5, 5))
    for number in range(2):
        kernel, bias = values[f"convs.{number}.0.weight"], values.get(f"convs.{number}.0.bias")
        assert (bias is None) == (norm is not None)
        more = [kernel] if bias is None else [kernel, bias]
        hidden = mx.nd.Convolution(
            hidden, *more, kernel=(3, 3), pad=(1, 1), num_filter=4, no_bias=bias is None
        )
        if norm:
            scale, shift, mean, variance = (
                values[f"convs.{number}.1.{kind}"].reshape((1, -1, 1, 1))
                for kind in ("weight", "bias", "running_mean", "running_var")
            )
            hidden = (hidden - mean) / mx.nd.sqrt(variance + 1e-5) * scale + shift
        hidden = mx.nd.relu(hidden)
    doubled = np.zeros((2, 4, 10, 10), "float32")
    for y, x in np.ndindex(2, 2):
        taps = values["deconv.weight"].asnumpy()[:, :, y, x]
        doubled[:, :, y::2, x::2] = np.einsum("nchw,cd->ndhw", hidden.asnumpy(), taps)
    doubled += values["deconv.bias"].asnumpy()[:, None, None]
    kernel = values["masks.weight"].asnumpy()[:, :, 0, 0]
    expected = np.einsum("nchw,kc->nkhw", np.maximum(doubled, 0), kernel)
    expected += values["masks.bias"].asnumpy()[:, None, None]
    for classes in ([2, 1], [0, -1]):
        own = expected[np.arange(2), np.maximum(classes, 0)]
        for hybridized in (False, True):
            head.hybridize(hybridized)
            found = head(features, *nd([classes])).asnumpy()
            np.testing.assert_allclose(found, own[None], rtol=1e-4, atol=1e-4)


def test_the_split_deconvolution_learns_as_a_whole_one_does():
    split = backbones.fill(SplitDeconv(3, 4, activation="relu"))
    whole = mx.gluon.nn.Conv2DTranspose(3, 2, strides=2, activation="relu", in_channels=4)
    backbones.fill(whole)
    features, weights = mx.nd.random.normal(shape=(2, 4, 5, 6)), mx.nd.random.normal(shape=(10, 12))
    with mx.autograd.record():
        maps = split(features).reshape((2, 4, 3, 5, 6)).transpose((0, 2, 1, 3, 4))
        ours = joined(mx.nd, maps.reshape((-1, 1, 5, 6))).reshape((2, 3, 10, 12))
        theirs = whole(features)
        total = mx.nd.sum((ours + theirs) * weights)
    total.backward()
    np.testing.assert_allclose(ours.asnumpy(), theirs.asnumpy(), rtol=1e-4, atol=1e-5)
    for name in ("weight", "bias"):
        gradients = (getattr(layer, name).grad().asnumpy() for layer in (split, whole))
        np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-4)


def test_without_convolutions_the_deconvolution_takes_the_features():
    head = MaskHead(6, 5, num_classes=3, convs=0, channels=4)
    assert head.deconv.weight.shape == (6, 4, 2, 2)


@pytest.mark.parametrize("wrong", [{"convs": -1}, {"channels": 0}])
def test_senseless_arguments_of_the_head_are_refused(wrong):
    assert_refused(partial(MaskHead, 6, 5, 3), **wrong)


@pytest.mark.parametrize("classes", [1, 4])
def test_a_mask_is_that_of_its_rows_class(classes):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, classes, 5, 5)).astype("float32")
    labels = np.array([[0, 3, -1], [2, 1, 0]], "float32")
    found = of_class(mx.nd, *nd(logits, labels)).asnumpy()
    own = np.clip(labels.astype(int).ravel(), 0, classes - 1)
    np.testing.assert_array_equal(found, logits[np.arange(6), own][:, None])


def test_only_the_own_mask_of_positives_gets_a_gradient():
    logits, classes = mx.nd.zeros((3, 2, 4, 4)), mx.nd.array([[1, 0, -1]])
    logits.attach_grad()
    with mx.autograd.record():
        masks = of_class(mx.nd, logits, classes).reshape((1, 3, 4, 4))
        loss = MaskLoss()(masks, classes, mx.nd.ones((1, 3, 4, 4)))
    loss.backward()
    trained = np.abs(logits.grad.asnumpy()).sum(axis=(2, 3)) > 0
    assert trained.tolist() == [[False, True], [True, False], [False, False]]
