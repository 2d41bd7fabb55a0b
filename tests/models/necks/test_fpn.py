"""The Feature Pyramid Network against numpy: how levels merge, which there are, their names."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit.models.necks import FPN
from support import backbones
from support.pyramids import CHANNELS, STRIDES, conv, maps, pyramid, run, weights_of
from support.refusals import assert_refused


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize(
    ("extra", "p6_from"),
    [("none", "p5"), ("pool", "p5"), ("p6p7", "p5"), ("p6p7", "c5"), ("p6", "lateral")],
)
def test_levels(extra, p6_from, hybridized):
    neck = backbones.fill(FPN(CHANNELS, STRIDES, channels=6, extra=extra, p6_from=p6_from))
    if hybridized:
        neck.hybridize()
    weights, levels = weights_of(neck), maps()
    expected = pyramid(levels, weights)
    if extra == "pool":
        expected.append(expected[-1][:, :, ::2, ::2])
    elif extra in ("p6", "p6p7"):
        lateral = conv(levels[-1], weights, "inner_blocks.2.0")
        source = {"p5": expected[-1], "c5": levels[-1], "lateral": lateral}[p6_from]
        expected.append(conv(source, weights, "p6", stride=2))
    if extra == "p6p7":
        expected.append(conv(np.maximum(expected[-1], 0), weights, "p7", stride=2))
    found = run(neck, levels)
    assert neck.strides == (8, 16, 32, 64, 128)[: len(expected)]
    assert len(found) == len(expected)
    for level, oracle in zip(found, expected):
        np.testing.assert_allclose(level, oracle, rtol=1e-4, atol=1e-4)


def test_maps_of_one_stride_are_added_as_they_are():
    neck = backbones.fill(FPN((3, 4), (32, 32), channels=6))
    levels = maps((3, 4), ((5, 7), (5, 7)))
    for level, oracle in zip(run(neck, levels), pyramid(levels, weights_of(neck))):
        np.testing.assert_allclose(level, oracle, rtol=1e-4, atol=1e-4)
    assert neck.strides == (32, 32, 64)


def test_a_level_does_not_depend_on_finer_ones():
    neck = backbones.fill(FPN(CHANNELS, STRIDES, channels=6))
    levels = maps()
    before = run(neck, levels)
    levels[0] = levels[0] + 1
    changed = [(a != b).any() for a, b in zip(before, run(neck, levels))]
    assert changed == [True, False, False, False]


def test_names_with_batch_norm_are_torchvisions():
    names = set(backbones.torch_shapes(FPN((3, 4), (8, 16), channels=6, norm="BN")))
    layers = {"0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var"}
    blocks = {f"{kind}_blocks.{n}" for kind in ("inner", "layer") for n in (0, 1)}
    assert names == {f"{block}.{layer}" for block in blocks for layer in layers}


def test_every_weight_learns_when_hybridized():
    neck = backbones.fill(FPN(CHANNELS, STRIDES, channels=6, extra="p6p7"))
    neck.hybridize()
    levels = [mx.nd.array(level) for level in maps()]
    for level in levels:
        level.attach_grad()
    with autograd.record():
        total = sum((level**2).sum() for level in neck(levels))
    total.backward()
    arrays = [parameter.grad() for parameter in neck.collect_params().values()]
    assert all(np.abs(a.asnumpy()).max() > 0 for a in [*arrays, *(level.grad for level in levels)])


@pytest.mark.parametrize("norm", [None, "BN"])
def test_laterals_may_begin_at_zero(norm):
    neck = FPN(CHANNELS, STRIDES, channels=6, norm=norm, zero_init_laterals=True)
    neck.initialize()
    levels = [mx.nd.array(level) for level in maps()]
    for level in levels:
        level.attach_grad()
    with autograd.record():
        total = sum((level + 1).sum() for level in neck(levels))
    total.backward()
    weights = {n: p.data().asnumpy() for n, p in neck._collect_params_with_prefix().items()}
    zero = {n for n, a in weights.items() if n.endswith("0.weight") and not a.any()}
    assert zero == {f"inner_blocks.{n}.0.weight" for n in range(3)}
    assert not any(level.grad.asnumpy().any() for level in levels)
    if norm is None:
        assert all(neck.inner_blocks[n][0].weight.grad().asnumpy().any() for n in range(3))


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"channels": 0}, ["at least 1"]),
        ({"extra": "p7"}, ["'pool'", "'p6'", "'p6p7'", "'none'"]),
        ({"p6_from": "c4"}, ["'p5'", "'c5'", "'lateral'"]),
        ({"strides": [4, 16, 32]}, ["twice", "out_strides"]),
    ],
)
def test_arguments_are_checked(wrong, expected):
    assert_refused(partial(FPN, in_channels=CHANNELS, strides=STRIDES), *expected, **wrong)
