"""Norms: group norm against numpy, batch norm across devices, what is frozen."""

from typing import get_type_hints

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import nn

from detkit.config.types import matches
from detkit.models.backbones import VGG, GluonZoo
from detkit.models.necks import FPN
from detkit.models.norms import NORMS, norm_layer, synchronise_norms
from detkit.models.roi_heads import ConvFCHead
from detkit.registry import BACKBONES, HEADS, NECKS
from support.refusals import assert_refused

GROUPS = {"GN": 32, "IN": 64}  # of 64 channels


def numbers(*shape, seed=0):
    return np.random.RandomState(seed).standard_normal(shape).astype("float32") * 3 + 1


def initialized(layer, ctx=None):
    """The layer with a scale and a shift of its own for every channel."""
    layer.initialize(ctx=ctx)
    layer.gamma.set_data(mx.nd.array(numbers(*layer.gamma.shape, seed=1)))
    layer.beta.set_data(mx.nd.array(numbers(*layer.beta.shape, seed=2)))
    return layer


def gradients(layer, x, above):
    """Output, and gradients of x, scale and shift, where ``above`` is the output's."""
    x = mx.nd.array(x)
    x.attach_grad()
    with autograd.record():
        output = layer(x)
    output.backward(mx.nd.array(above))
    found = output, x.grad, layer.gamma.grad(), layer.beta.grad()
    return [array.asnumpy() for array in found]


def group_norm(x, above, gamma, beta, groups, eps):
    """The same in numpy (Wu and He 2018, equations 1 to 6)."""
    gamma, beta = (each.reshape(-1, 1, 1) for each in (gamma, beta))
    rows = x.astype("float64").reshape(len(x), groups, -1)
    deviation = np.sqrt(rows.var(axis=2, keepdims=True) + eps)
    normal = (rows - rows.mean(axis=2, keepdims=True)) / deviation
    slope = (above * gamma).reshape(rows.shape)
    along = (slope * normal).mean(axis=2, keepdims=True) * normal
    back = (slope - slope.mean(axis=2, keepdims=True) - along) / deviation
    normal, back = normal.reshape(x.shape), back.reshape(x.shape)
    return normal * gamma + beta, back, (above * normal).sum((0, 2, 3)), above.sum((0, 2, 3))


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("norm", [*GROUPS, {"type": "GN", "groups": 16}])
def test_group_norm_of_any_batch_and_size(norm, hybridized):
    layer = initialized(norm_layer(norm, 64, eps=1e-3))
    groups = GROUPS[norm] if isinstance(norm, str) else norm["groups"]
    gamma, beta = layer.gamma.data().asnumpy(), layer.beta.data().asnumpy()
    if hybridized:
        layer.hybridize()
    for shape in ((2, 64, 5, 7), (1, 64, 3, 3), (3, 64, 1, 4)):
        x, above = numbers(*shape, seed=3), numbers(*shape, seed=4)
        expected = group_norm(x, above, gamma, beta, groups, 1e-3)
        for found, oracle in zip(gradients(layer, x, above), expected):
            np.testing.assert_allclose(found, oracle, rtol=1e-3, atol=1e-3)


def test_group_norm_needs_whole_groups():
    with pytest.raises(ValueError, match="^norm: .* 32 .*GN.* 48; .*groups"):
        norm_layer("GN", 48)
    with pytest.raises(ValueError, match="^norm: .* 5 .*GN.* 48; .*groups"):
        norm_layer({"type": "GN", "groups": 5}, 48)


@pytest.mark.parametrize(
    ("norm", "found"),
    [
        ({}, "None"),
        ({"type": "LN"}, "'LN'"),
        ({"groups": 4}, "None"),
        ({"type": "GN", "groups": 0}, "0"),
        ({"type": "GN", "groups": 2.0}, "2.0"),
        ({"type": "GN", "groups": True}, "True"),
        ({"type": "IN", "groups": 4}, "'groups': 4"),
        ({"type": "GN", "eps": 1}, "'eps': 1"),
    ],
)
def test_a_mapping_that_names_no_norm_is_refused(norm, found):
    with pytest.raises(ValueError, match=f"^norm: expected .* found .*{found}"):
        norm_layer(norm, 8)


@pytest.mark.parametrize("registry", [BACKBONES, NECKS, HEADS], ids=lambda each: each.kind)
def test_every_part_with_a_norm_takes_a_mapping(registry):
    targets = [registry.get(name) for name in registry.names()]
    hints = {each: get_type_hints(each.__init__).get("norm") for each in targets}
    of_any_kind = {each: hint for each, hint in hints.items() if hint and each is not GluonZoo}
    assert len(of_any_kind) > 1
    for target, hint in of_any_kind.items():
        assert matches({"type": "GN", "groups": 4}, hint), target.__name__


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("hybridized", [False, True])
def test_sync_bn_is_batch_norm_of_all_devices_batches(devices, hybridized):
    x, above = numbers(4, 6, 5, 3, seed=3), numbers(4, 6, 5, 3, seed=4)
    expected = initialized(norm_layer("BN", 6))
    oracle = gradients(expected, x, above)[:2]

    contexts = [mx.cpu(n) for n in range(devices)]
    layer = initialized(norm_layer("SyncBN", 6), contexts)
    synchronise_norms(layer, devices)
    if hybridized:
        layer.hybridize()
    parts = [mx.nd.array(part, ctx=ctx) for part, ctx in zip(np.split(x, devices), contexts)]
    for part in parts:
        part.attach_grad()
    with autograd.record():
        outputs = [layer(part) for part in parts]
    heads = zip(np.split(above, devices), contexts)
    autograd.backward(outputs, [mx.nd.array(part, ctx=ctx) for part, ctx in heads])
    found = outputs, [part.grad for part in parts]
    for arrays, whole in zip(found, oracle):
        together = np.concatenate([array.asnumpy() for array in arrays])
        np.testing.assert_allclose(together, whole, rtol=1e-3, atol=1e-4)
    for name in ("running_mean", "running_var"):
        np.testing.assert_allclose(
            getattr(layer, name).data(contexts[0]).asnumpy(),
            getattr(expected, name).data().asnumpy(),
            rtol=1e-4,
        )


def test_frozen_bn_learns_nothing():
    layer = initialized(norm_layer("FrozenBN", 6))
    assert {p.grad_req for p in layer.collect_params().values()} == {"null"}
    x = mx.nd.array(numbers(2, 6, 5, 3))
    with autograd.record():
        output = layer(x)
    gamma, beta = (each.data().reshape((1, -1, 1, 1)) for each in (layer.gamma, layer.beta))
    expected = x / np.sqrt(1 + 1e-5) * gamma + beta
    np.testing.assert_allclose(output.asnumpy(), expected.asnumpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("hybridized", [False, True])
def test_frozen_statistics_are_used_and_kept_while_scale_and_shift_learn(hybridized):
    layer = initialized(norm_layer("FrozenStatsBN", 6))
    learning = {
        name for name, p in layer._collect_params_with_prefix().items() if p.grad_req != "null"
    }
    assert learning == {"gamma", "beta"}
    if hybridized:
        layer.hybridize()
    before = [p.data().asnumpy() for p in (layer.running_mean, layer.running_var)]
    x = mx.nd.array(numbers(2, 6, 5, 3))
    with autograd.record():
        output = layer(x)
    output.backward()
    after = [p.data().asnumpy() for p in (layer.running_mean, layer.running_var)]
    np.testing.assert_array_equal(after, before)
    mean, variance, gamma, beta = (
        p.data().reshape((1, -1, 1, 1))
        for p in (layer.running_mean, layer.running_var, layer.gamma, layer.beta)
    )
    normed = (x - mean) / (variance + 1e-5).sqrt()
    np.testing.assert_allclose(output.asnumpy(), (normed * gamma + beta).asnumpy(), atol=1e-5)
    np.testing.assert_allclose(
        layer.gamma.grad().asnumpy(), normed.sum(axis=(0, 2, 3)).asnumpy(), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("norm", NORMS)
def test_every_part_with_norms_takes_every_kind(norm):
    kind = type(norm_layer(norm, 32))  # of GN and IN, the same
    for part in (
        VGG(11, norm=norm),
        FPN((32, 64), (8, 16), channels=32, norm=norm),
        ConvFCHead(32, 3, 2, convs=[32], norm=norm),
    ):
        norms = []
        part.apply(lambda block, norms=norms: norms.append(block) if type(block) is kind else None)
        assert norms


@pytest.mark.parametrize("part", [VGG, lambda norm: FPN((4, 8), (8, 16), norm=norm)])
def test_an_unknown_norm_is_refused(part):
    assert_refused(part, ", ".join(NORMS), norm="LN")


def test_frozen_bn_is_batch_norm_whose_file_it_takes():
    assert isinstance(norm_layer("FrozenBN", 4), nn.BatchNorm)
    names = {kind: set(norm_layer(kind, 32)._collect_params_with_prefix()) for kind in NORMS}
    assert names["BN"] == names["FrozenBN"] == names["SyncBN"] > names["GN"] == {"gamma", "beta"}
