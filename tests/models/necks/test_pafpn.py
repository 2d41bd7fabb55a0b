"""The path aggregation network against numpy: the way up from the finest level."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit.models.necks import PAFPN
from support import backbones
from support.pyramids import CHANNELS, SHAPES, STRIDES, conv, maps, pyramid, run, weights_of


def relu(x):
    return np.maximum(x, 0)


def path(levels, weights, steps):
    """N of each P (Liu et al. 2018, figure 2)."""
    found = levels[:1]
    for n, (level, step) in enumerate(zip(levels[1:], steps)):
        below = relu(conv(found[-1], weights, f"down_blocks.{n}.0", step))
        found.append(relu(conv(level + below, weights, f"fused_blocks.{n}.0")))
    return found


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize(
    ("strides", "shapes"),
    [
        (STRIDES, SHAPES),
        ((16, 32, 32), ((7, 9), (4, 5), (4, 5))),
    ],
)
def test_levels(strides, shapes, hybridized):
    neck = backbones.fill(PAFPN(CHANNELS, strides, channels=6))
    if hybridized:
        neck.hybridize()
    weights, levels = weights_of(neck), maps(shapes=shapes)
    steps = [coarse // fine for fine, coarse in zip(strides, strides[1:])]
    expected = path(pyramid(levels, weights), weights, steps)
    expected.append(expected[-1][:, :, ::2, ::2])
    assert neck.strides == (*strides, 2 * strides[-1])
    assert neck.channels == 6
    found = run(neck, levels)
    assert len(found) == len(expected)
    for level, oracle in zip(found, expected):
        np.testing.assert_allclose(level, oracle, rtol=1e-4, atol=1e-4)


def test_p6_and_p7_come_from_the_last_level():
    neck = backbones.fill(PAFPN(CHANNELS, STRIDES, channels=6, extra="p6p7"))
    found, weights = run(neck, maps()), weights_of(neck)
    p6 = conv(found[2], weights, "p6", stride=2)
    np.testing.assert_allclose(found[3], p6, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        found[4], conv(relu(p6), weights, "p7", stride=2), rtol=1e-4, atol=1e-4
    )


def test_every_level_depends_on_the_finest():
    neck = backbones.fill(PAFPN(CHANNELS, STRIDES, channels=6))
    levels = maps()
    before = run(neck, levels)
    levels[0] = levels[0] + 1
    assert all((a != b).any() for a, b in zip(before, run(neck, levels)))


@pytest.mark.parametrize("norm", [None, "BN", "FrozenBN"])
def test_every_weight_learns_when_hybridized(norm):
    neck = PAFPN(CHANNELS, STRIDES, channels=6, norm=norm)
    neck.initialize(mx.init.Xavier())
    neck.hybridize()
    with autograd.record():
        total = sum((level**2).sum() for level in neck([mx.nd.array(level) for level in maps()]))
    total.backward()
    trained = {n: p for n, p in neck._collect_params_with_prefix().items() if p.grad_req != "null"}
    assert all(np.abs(p.grad().asnumpy()).max() > 0 for p in trained.values())
    assert len(trained) == {None: 20, "BN": 30, "FrozenBN": 10}[norm]
