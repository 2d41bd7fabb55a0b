"""MobileNetV2: torchvision's names and file, strides, and what is frozen."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit.models.backbones import MobileNetV2
from detkit.weights import load_weights, read_pth
from support import backbones
from support.backbones import torch_shapes
from support.environment import SHARED
from support.refusals import assert_refused

FILE = SHARED / "data" / "weights" / "mobilenet_v2-b0353104.pth"


def test_stride_and_channels():
    backbone = MobileNetV2()
    backbone.initialize()
    backbone.hybridize()
    assert (backbone.strides, backbone.channels) == ((16,), (96,))
    for height, width in ((16, 16), (32, 64), (64, 96)):
        (features,) = backbone(mx.nd.zeros((2, 3, height, width)))
        assert features.shape == (2, 96, height // 16, width // 16)


def test_maps_of_several_strides():
    """Each is what the layers up to torchvision's last one of that stride make of the images."""
    backbone = backbones.fill(MobileNetV2(out_strides=[2, 4, 8, 16, 32]))
    assert backbone.channels == (16, 24, 32, 96, 320)
    assert backbone.strides == (2, 4, 8, 16, 32)
    images = mx.nd.array(backbones.probe(64, 96))
    x, expected = images, {}
    for number, layer in enumerate(backbone.features):
        x = layer(x)
        expected[number] = x.asnumpy()
    assert number == 17
    backbone.hybridize()
    maps = backbone(images)
    for features, stride, last in zip(maps, backbone.strides, (1, 3, 6, 13, 17)):
        assert features.shape[2:] == (64 // stride, 96 // stride)
        np.testing.assert_allclose(features.asnumpy(), expected[last], rtol=1e-4, atol=1e-5)


def test_ends_with_the_last_map_that_is_asked_for():
    backbone = MobileNetV2(out_strides=(4, 8))
    assert (backbone.channels, backbone.strides) == ((24, 32), (4, 8))
    assert len(backbone.features) == 7


@pytest.mark.parametrize("wrong", [[], [16, 8], [8, 8], [3, 16], [64]])
def test_has_maps_of_five_strides(wrong):
    assert_refused(MobileNetV2, "2, 4, 8, 16, 32", out_strides=wrong)


@pytest.mark.parametrize("norm", ["FrozenStatsBN", "BN"])
def test_statistics_are_frozen_or_not(norm):
    backbone = MobileNetV2(norm=norm)
    backbone.initialize()
    parameters = backbone._collect_params_with_prefix()
    statistics = {n: p.data().asnumpy() for n, p in parameters.items() if "running" in n}
    with autograd.record():
        (features,) = backbone(mx.nd.random.uniform(-2, 2, (2, 3, 32, 32)))
        total = (features**2).mean()
    total.backward()
    changed = [n for n in statistics if (parameters[n].data().asnumpy() != statistics[n]).any()]
    assert len(changed) == (0 if norm == "FrozenStatsBN" else len(statistics))
    scale = parameters["features.1.conv.0.1.gamma"]
    assert np.abs(scale.grad().asnumpy()).max() > 0


@pytest.mark.skipif(not FILE.is_file(), reason=f"{FILE} is not there")
@pytest.mark.parametrize("out_strides", [(16,), (4, 8, 16, 32)])
def test_has_torchvisions_names_and_takes_its_file(out_strides):
    backbone = MobileNetV2(out_strides)
    backbone.initialize()
    state = read_pth(FILE)
    last = max(int(name.split(".")[1]) for name in backbone._collect_params_with_prefix())
    expected = {
        name: array.shape
        for name, array in state.items()
        if name.startswith("features.")
        and int(name.split(".")[1]) <= last
        and not name.endswith("num_batches_tracked")
    }
    assert torch_shapes(backbone) == expected
    load_weights(backbone, state)
    for features in backbone(mx.nd.random.uniform(-2, 2, (1, 3, 64, 64))):
        assert 0.05 < np.abs(features.asnumpy()).max() < 100
