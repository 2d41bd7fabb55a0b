"""MobileNetV3: torchvision's names and numbers, the maps it gives, and what frozen means."""

import mxnet as mx
import numpy as np
import pytest

from detkit.models.backbones import MobileNetV3
from detkit.models.backbones.mobilenet_v3 import SqueezeExcitation, hard_swish
from support import backbones
from support.refusals import assert_refused

# torchvision 0.29, models.mobilenet_v3_*(): the digest of the names and shapes of `features`, and
# of the layers with a map: shape, mean, standard deviation and one value (backbones.summary)
TORCHVISION = {
    "large": (
        "497f6a393a4ed5b6",
        [
            ((2, 16, 49, 65), (0.113448754, 0.47267225, 0.4894036)),
            ((2, 24, 25, 33), (0.018430237, 0.24809214, 0.24771161)),
            ((2, 40, 13, 17), (0.021918356, 0.13511601, -0.030344257)),
            ((2, 80, 7, 9), (0.021868294, 0.13592863, -0.140993)),
            ((2, 160, 4, 5), (0.0031805988, 0.12886599, 0.083342016)),
            ((2, 960, 4, 5), (0.010540388, 0.12319269, -0.17168711)),
        ],
    ),
    "small": (
        "003732c644b79612",
        [
            ((2, 16, 49, 65), (0.113448754, 0.47267225, 0.4894036)),
            ((2, 16, 25, 33), (-0.06645409, 0.15003501, 0.021262825)),
            ((2, 24, 13, 17), (0.05184179, 0.1354571, 0.13429202)),
            ((2, 40, 7, 9), (0.019553427, 0.11992977, -0.006129994)),
            ((2, 96, 4, 5), (0.0034702227, 0.11720497, -0.04531583)),
            ((2, 576, 4, 5), (0.0044794427, 0.11624239, 0.105445825)),
        ],
    ),
}
STRIDES = (2, 4, 8, 16, 32, 32)
LAYER_OF_STAGE = {"large": [0, 2, 4, 7, 13, 16, 17], "small": [0, 1, 2, 4, 9, 12, 13]}
SIZES = list(TORCHVISION)


@pytest.mark.parametrize("size", SIZES)
def test_names_and_shapes_are_torchvisions(size):
    assert backbones.digest(backbones.torch_shapes(MobileNetV3(size))) == TORCHVISION[size][0]


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("norm", ["BN", "FrozenBN"])
@pytest.mark.parametrize("size", SIZES)
def test_the_maps_are_torchvisions(size, norm, hybridized):
    backbone = backbones.fill(MobileNetV3(size, STRIDES, norm=norm))
    if hybridized:
        backbone.hybridize()
    maps = backbone(mx.nd.array(backbones.probe()))
    assert len(maps) == 6
    for found, channels, (shape, numbers) in zip(maps, backbone.channels, TORCHVISION[size][1]):
        assert found.shape == shape
        assert channels == shape[1]
        np.testing.assert_allclose(backbones.summary(found)[1], numbers, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("out_strides", "last"), [([32, 32], 5), ([4, 8, 32], 5), ([32], 5), ([4, 8], 2), ([16], 3)]
)
def test_channels_and_strides_are_those_of_the_maps(size, out_strides, last):
    backbone = MobileNetV3(size, out_strides)
    assert backbone.strides == tuple(out_strides)
    backbone.initialize()
    maps = backbone(mx.nd.zeros((1, 3, 64, 128)))
    assert len(maps) == len(out_strides)
    for features, channels, stride in zip(maps, backbone.channels, backbone.strides):
        assert features.shape == (1, channels, 64 // stride, 128 // stride)
    assert len(backbone.features) == LAYER_OF_STAGE[size][last] + 1


def test_norm_eps_is_added_to_every_variance():
    images = mx.nd.array(backbones.probe(32, 32))
    first = {}
    for eps in (1e-3, 1e-5, 3.0):
        backbone = backbones.fill(MobileNetV3(out_strides=[2], norm_eps=eps))
        before = mx.nd.Convolution(
            images,
            backbone.features[0][0].weight.data(),
            kernel=(3, 3),
            stride=(2, 2),
            pad=(1, 1),
            num_filter=16,
            no_bias=True,
        ).asnumpy()
        norm = backbone.features[0][1]
        mean, variance, scale, shift = (
            parameter.data().asnumpy().reshape(1, -1, 1, 1)
            for parameter in (norm.running_mean, norm.running_var, norm.gamma, norm.beta)
        )
        normed = (before - mean) / np.sqrt(variance + eps) * scale + shift
        expected = normed * np.clip(normed + 3, 0, 6) / 6
        first[eps] = backbone(images)[0].asnumpy()
        np.testing.assert_allclose(first[eps], expected, rtol=1e-4, atol=1e-5)
    assert np.abs(first[1e-3] - first[1e-5]).max() > 1e-4


@pytest.mark.parametrize("frozen_stages", [0, 1, 3, 6])
def test_frozen_stages_keep_weights_and_statistics(frozen_stages):
    backbone = backbones.fill(MobileNetV3("small", frozen_stages=frozen_stages))
    names = set(backbone._collect_params_with_prefix())
    free = {n for n in names if int(n.split(".")[1]) >= LAYER_OF_STAGE["small"][frozen_stages]}
    trained = {n for n, p in backbone._collect_params_with_prefix().items() if p.grad_req != "null"}
    statistics = {name for name in free if "running" in name}
    assert trained == free - statistics
    if frozen_stages < 6:
        changed, moved = backbones.changed_by_a_step(backbone, backbones.probe(64, 64))
        # The next norm takes up the shift of a projection: its gradient is next to nothing.
        shifts = {name for name in trained if name.endswith("beta")}
        assert changed - shifts == trained - shifts
        assert changed & shifts
        assert moved == statistics


@pytest.mark.parametrize("hybridized", [False, True])
def test_a_frozen_norm_keeps_every_norm_and_nothing_else(hybridized):
    backbone = backbones.fill(MobileNetV3("small", norm="FrozenBN"))
    if hybridized:
        backbone.hybridize()
    changed, moved = backbones.changed_by_a_step(backbone, backbones.probe(64, 64))
    assert not moved
    names = backbone._collect_params_with_prefix()
    convolutions = {n for n in names if n.endswith(("weight", "bias"))}
    assert changed == convolutions


def test_hard_swish():
    numbers = mx.nd.array([-1e9, -3, -1.5, 0, 1.5, 3, 1e9])
    expected = [0, 0, -0.375, 0, 1.125, 3, 1e9]
    assert hard_swish(mx.nd, numbers).asnumpy().tolist() == pytest.approx(expected)


def test_squeeze_and_excitation_weighs_channels_by_their_means():
    block = backbones.fill(SqueezeExcitation(16))
    x = np.random.RandomState(1).standard_normal((2, 16, 5, 3)).astype("float32")
    weight1, bias1, weight2, bias2 = (
        parameter.data().asnumpy()
        for parameter in (block.fc1.weight, block.fc1.bias, block.fc2.weight, block.fc2.bias)
    )
    assert weight1.shape == (8, 16, 1, 1)
    hidden = np.maximum(x.mean((2, 3)) @ weight1[:, :, 0, 0].T + bias1, 0)
    logits = hidden @ weight2[:, :, 0, 0].T + bias2
    expected = x * np.clip(logits / 6 + 0.5, 0, 1)[:, :, None, None]
    np.testing.assert_allclose(block(mx.nd.array(x)).asnumpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"size": "huge"}, "'large', 'small'"),
        ({"out_strides": []}, "2, 4, 8, 16, 32, 32"),
        ({"out_strides": [32, 16]}, "2, 4, 8, 16, 32, 32"),
        ({"out_strides": [16, 64]}, "2, 4, 8, 16, 32, 32"),
        ({"frozen_stages": 7}, "0 to 6"),
    ],
)
def test_arguments_are_checked(wrong, expected):
    assert_refused(MobileNetV3, expected, **wrong)
