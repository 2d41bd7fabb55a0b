"""The double head against numpy: logits of fully connected layers, deltas of residual blocks."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit.models.roi_heads import DoubleHead
from support import backbones
from support.pyramids import conv
from support.refusals import assert_refused

SMALL = {"in_channels": 4, "in_size": 3, "num_classes": 2}
TINY = {**SMALL, "hidden": [5, 6], "blocks": 3, "channels": 8}


def cells(rois=4):
    return np.random.RandomState(0).standard_normal((rois, 4, 3, 3)).astype("float32")


def normalised(x, weights, layers, number, norm):
    """A convolution and the inference of its batch norm."""
    name = f"{layers}.{norm}"
    mean, var, gamma, beta = (
        weights[f"{name}.{kind}"][:, None, None]
        for kind in ("running_mean", "running_var", "weight", "bias")
    )
    x = conv(x, {**weights, f"{layers}.{number}.bias": np.zeros(1)}, f"{layers}.{number}")
    return (x - mean) / np.sqrt(var + 1e-5) * gamma + beta


def block(x, weights, name, convolutions):
    """A residual block (He et al. 2016, equation 1)."""
    branch = shortcut = x
    for n in range(1, convolutions + 1):
        branch = normalised(branch, weights, name, f"conv{n}", f"bn{n}")
        branch = np.maximum(branch, 0) if n < convolutions else branch
    if f"{name}.downsample.0.weight" in weights:
        shortcut = normalised(x, weights, f"{name}.downsample", 0, 1)
    return np.maximum(branch + shortcut, 0)


def dense(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("class_agnostic", [False, True])
def test_logits_and_deltas(class_agnostic, hybridized):
    head = backbones.fill(DoubleHead(**TINY, class_agnostic=class_agnostic))
    if hybridized:
        head.hybridize()
    shapes = backbones.torch_shapes(head)
    weights = {name: backbones.filling(name, shape) for name, shape in shapes.items()}
    x = cells()
    hidden = x.reshape(len(x), -1)
    for layer in ("fc.0", "fc.1"):
        hidden = np.maximum(dense(hidden, weights, layer), 0)
    wide = block(x, weights, "convs.0", 2)
    for n in (1, 2):
        wide = block(wide, weights, f"convs.{n}", 3)
    deltas = dense(wide.mean((2, 3)), weights, "boxes")
    for found, expected in zip(
        head(mx.nd.array(x)), (dense(hidden, weights, "classes"), deltas.reshape(4, -1, 4))
    ):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-3, atol=1e-4)
    assert shapes["boxes.weight"] == (4 if class_agnostic else 8, 8)
    assert shapes["convs.1.conv2.weight"] == (2, 2, 3, 3)


def test_the_papers_sizes():
    shapes = backbones.torch_shapes(DoubleHead(256, 7, 80))
    assert shapes["fc.0.weight"] == (1024, 256 * 7 * 7)
    assert shapes["convs.0.conv1.weight"] == (256, 256, 3, 3)
    assert shapes["convs.0.conv2.weight"] == (1024, 256, 1, 1)
    assert shapes["convs.4.conv2.weight"] == (256, 256, 3, 3)
    assert "convs.5.conv1.weight" not in shapes
    assert shapes["classes.weight"] == (81, 1024)


def test_class_and_box_learn_apart():
    head = DoubleHead(**TINY)
    head.initialize(mx.init.Xavier())
    head.hybridize()
    parameters = head._collect_params_with_prefix()
    trained = {name: p for name, p in parameters.items() if p.grad_req != "null"}
    for output, parts in ((0, {"fc", "classes"}), (1, {"convs", "boxes"})):
        with autograd.record():
            total = (head(mx.nd.array(cells()))[output] ** 2).sum()
        total.backward()
        learning = {n for n, p in trained.items() if np.abs(p.grad().asnumpy()).max() > 0}
        assert {name.split(".")[0] for name in learning} == parts
        assert learning == {name for name in trained if name.split(".")[0] in parts}


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"blocks": 0}, "at least 1"),
        ({"channels": 6}, "multiple of 4"),
        ({"hidden": [0]}, "at least 1"),
        ({"norm": "LN"}, "BN, FrozenBN, FrozenStatsBN, SyncBN, GN, IN"),
    ],
)
def test_arguments_are_checked(wrong, expected):
    assert_refused(partial(DoubleHead, **SMALL), expected, **wrong)
