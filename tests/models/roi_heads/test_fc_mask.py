"""FCMaskHead against numpy."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest

from detkit.models.roi_heads import FCMaskHead, MaskHead
from support import backbones
from support.refusals import assert_refused


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("class_agnostic", [False, True])
def test_fully_connected_masks(class_agnostic, hybridized):
    head = FCMaskHead(6, 5, num_classes=3, hidden=[8, 7], size=4, class_agnostic=class_agnostic)
    backbones.fill(head).hybridize(hybridized)
    masks = 1 if class_agnostic else 3
    shapes = {"fc.0": (8, 6 * 5 * 5), "fc.1": (7, 8), "masks": (masks * 16, 7)}
    assert backbones.torch_shapes(head) == {
        **{f"{name}.weight": shape for name, shape in shapes.items()},
        **{f"{name}.bias": shape[:1] for name, shape in shapes.items()},
    }
    features = mx.nd.random.normal(shape=(5, 6, 5, 5))
    hidden = features.asnumpy().reshape(5, -1)
    for name, shape in shapes.items():
        hidden = hidden @ backbones.filling(f"{name}.weight", shape).T
        hidden = hidden + backbones.filling(f"{name}.bias", shape[:1])
        hidden = hidden if name == "masks" else np.maximum(hidden, 0)
    classes = np.array([0, 2, 1, -1, 2])
    with mx.autograd.record():
        logits = head(features, mx.nd.array([classes]))
    logits.backward()
    assert head.size == 4
    own = hidden.reshape(5, masks, 4, 4)[np.arange(5), np.clip(classes, 0, masks - 1)]
    np.testing.assert_allclose(logits.asnumpy(), own[None], rtol=1e-4, atol=1e-4)
    for parameter in head.collect_params().values():
        assert np.abs(parameter.grad().asnumpy()).max() > 0


def test_the_defaults_of_fully_connected_masks_are_the_papers():
    shapes = backbones.torch_shapes(FCMaskHead(256, 14, num_classes=80))
    assert shapes["fc.0.weight"] == (1024, 256 * 14 * 14)
    assert shapes["fc.1.weight"] == (1024, 1024)
    assert shapes["masks.weight"] == (80 * 28 * 28, 1024)


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("norm", [None, "BN"])
def test_convolutions_come_before_the_layers(norm, hybridized):
    """The same head without them, over what the convolutions of a MaskHead return."""
    options = {"hidden": [8], "size": 4}
    head = FCMaskHead(6, 5, 3, convs=2, channels=7, norm=norm, **options)
    plain, convolutional = FCMaskHead(7, 5, 3, **options), MaskHead(6, 5, 3, 2, 7, norm=norm)
    for each in (head, plain, convolutional):
        backbones.fill(each).hybridize(hybridized)
    shapes = backbones.torch_shapes(head)
    assert shapes["convs.0.0.weight"] == (7, 6, 3, 3)
    assert shapes["convs.1.0.weight"] == (7, 7, 3, 3)
    assert shapes["fc.0.weight"] == (8, 7 * 5 * 5)
    assert ("convs.0.0.bias" in shapes) == (norm is None)
    features, classes = mx.nd.random.normal(shape=(4, 6, 5, 5)), mx.nd.array([[0, 2, 1, -1]])
    with mx.autograd.record(train_mode=False):  # the norm of a trained head
        logits = head(features, classes)
    logits.backward()
    expected = plain(convolutional.convs(features), classes)
    np.testing.assert_allclose(logits.asnumpy(), expected.asnumpy(), rtol=1e-4, atol=1e-4)
    for name, parameter in head._collect_params_with_prefix().items():
        if parameter.grad_req != "null":
            assert np.abs(parameter.grad().asnumpy()).max() > 0, name


@pytest.mark.parametrize("wrong", [{"hidden": [8, 0]}, {"size": 0}, {"convs": -1}, {"channels": 0}])
def test_senseless_arguments_of_fully_connected_masks_are_refused(wrong):
    assert_refused(partial(FCMaskHead, 6, 5, 3), **wrong)
