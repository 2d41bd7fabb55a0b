"""ResNet and ResNeXt: torchvision's names and numbers, strides, dilation, and what frozen means."""

import mxnet as mx
import numpy as np
import pytest

from detkit.models.backbones import ResNet
from support import backbones
from support.refusals import assert_refused

NETWORKS = {
    "resnet18": {"depth": 18},
    "resnet50": {"depth": 50},
    "resnext50_32x4d": {"depth": 50, "groups": 32, "width_per_group": 4},
}
# torchvision 0.29, models.resnet: the digest of the names and shapes but fc's, and of layer1 to
# layer4: shape, mean, standard deviation and one value (backbones.summary)
TORCHVISION = {
    "resnet18": (
        "43a9b5e01e6dc88a",
        [
            ((2, 64, 25, 33), (1.5300943, 1.3627603, 1.2619387)),
            ((2, 128, 13, 17), (0.9174952, 1.2252727, 0.0)),
            ((2, 256, 7, 9), (0.7641956, 0.93458325, 0.49837902)),
            ((2, 512, 4, 5), (0.52176493, 0.65196025, 0.035642803)),
        ],
    ),
    "resnet50": (
        "9fb760970125b1e9",
        [
            ((2, 256, 25, 33), (0.678907, 0.85659146, 0.41531986)),
            ((2, 512, 13, 17), (0.52192557, 0.63407683, 0.5065793)),
            ((2, 1024, 7, 9), (0.5363222, 0.5641105, 0.68093425)),
            ((2, 2048, 4, 5), (0.38676694, 0.45177707, 0.50726205)),
        ],
    ),
    "resnext50_32x4d": (
        "4ff0a5dcaf76ea5b",
        [
            ((2, 256, 25, 33), (0.7090464, 0.83652824, 0.0)),
            ((2, 512, 13, 17), (0.6205713, 0.7176184, 0.5385073)),
            ((2, 1024, 7, 9), (0.6316593, 0.67559606, 0.0)),
            ((2, 2048, 4, 5), (0.40496573, 0.5059095, 1.18584)),
        ],
    ),
}
ALL = (4, 8, 16, 32)


@pytest.mark.parametrize("norm", ["BN", "FrozenBN"])
@pytest.mark.parametrize("name", TORCHVISION)
def test_names_and_maps_are_torchvisions(name, norm):
    backbone = backbones.fill(ResNet(**NETWORKS[name], out_strides=ALL, norm=norm))
    digest, summaries = TORCHVISION[name]
    assert backbones.digest(backbones.torch_shapes(backbone)) == digest
    backbone.hybridize()
    maps = backbone(mx.nd.array(backbones.probe()))
    assert backbone.strides == (4, 8, 16, 32)
    assert backbone.channels == tuple(shape[1] for shape, _ in summaries)
    for found, (shape, numbers) in zip(maps, summaries):
        assert found.shape == shape
        np.testing.assert_allclose(backbones.summary(found)[1], numbers, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("depth", "blocks"), [(34, [3, 4, 6, 3]), (101, [3, 4, 23, 3]), (152, [3, 8, 36, 3])]
)
def test_blocks_of_the_stages(depth, blocks):
    backbone = ResNet(depth, out_strides=(32,))
    layers = [backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4]
    assert [len(layer) for layer in layers] == blocks


def test_stages_nobody_asks_for_are_not_there():
    backbone = backbones.fill(ResNet(18, out_strides=(4, 16)))
    assert not hasattr(backbone, "layer4")
    assert (backbone.channels, backbone.strides) == ((64, 256), (4, 16))
    shapes = [features.shape for features in backbone(mx.nd.array(backbones.probe()))]
    assert shapes == [(2, 64, 25, 33), (2, 256, 7, 9)]


def test_the_stride_may_be_in_the_1x1():
    for stride_in_1x1, expected in ((False, [(1, 1), (2, 2)]), (True, [(2, 2), (1, 1)])):
        first = ResNet(50, stride_in_1x1, out_strides=(8,)).layer2[0]
        assert [conv._kwargs["stride"] for conv in (first.conv1, first.conv2)] == expected


@pytest.mark.parametrize(
    "network", [{"depth": 18}, {"depth": 50}, {"depth": 50, "stride_in_1x1": True}]
)
def test_dilated_c5_is_c5_at_twice_the_resolution(network):
    images = mx.nd.array(backbones.probe())
    maps = {}
    for dilated in (False, True):
        strides = (16, 16 if dilated else 32)
        backbone = backbones.fill(ResNet(**network, out_strides=strides, dilated_c5=dilated))
        assert backbone.strides == strides
        maps[dilated] = [features.asnumpy() for features in backbone(images)]
    assert maps[True][1].shape[2:] == maps[True][0].shape[2:]
    np.testing.assert_allclose(maps[True][1][:, :, ::2, ::2], maps[False][1], atol=1e-4)


def test_stride_16_of_a_dilated_network_is_c5():
    backbone = ResNet(18, out_strides=(16,), dilated_c5=True)
    assert (backbone.channels, backbone.strides) == ((512,), (16,))
    assert hasattr(backbone, "layer4")


@pytest.mark.parametrize("norm", ["BN", "FrozenBN"])
@pytest.mark.parametrize("frozen_stages", [0, 1, 3, 5])
def test_what_is_frozen(frozen_stages, norm):
    backbone = backbones.fill(ResNet(18, out_strides=ALL, frozen_stages=frozen_stages, norm=norm))
    frozen = [("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",)][:frozen_stages]
    frozen = {part for parts in frozen for part in parts}

    def is_norm(name):
        return "bn" in name or "downsample.1" in name

    names = set(backbone._collect_params_with_prefix())
    moving = {n for n in names if n.split(".")[0] not in frozen}
    moving = {n for n in moving if not (norm == "FrozenBN" and is_norm(n))}
    statistics = {n for n in moving if "running" in n}
    if frozen_stages == 5:
        assert not moving
        return
    changed = backbones.changed_by_a_step(backbone, backbones.probe(33, 40))
    assert changed == (moving - statistics, statistics)


def test_norm_eps():
    maps = []
    for eps in (1e-5, 1.0):
        backbone = backbones.fill(ResNet(18, out_strides=(4,), norm_eps=eps))
        maps.append(backbone(mx.nd.array(backbones.probe(33, 40)))[0].asnumpy())
    assert np.abs(maps[0] - maps[1]).max() > 0.1


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"depth": 20}, "[18, 34, 50, 101, 152]"),
        ({"out_strides": []}, "4, 8, 16, 32"),
        ({"out_strides": [16, 8]}, "4, 8, 16, 32"),
        ({"out_strides": [2]}, "4, 8, 16, 32"),
        ({"out_strides": [16, 16]}, "4, 8, 16, 32"),
        ({"frozen_stages": 6}, "0 to 5"),
        ({"groups": 0}, "at least 1"),
        ({"width_per_group": 0}, "at least 1"),
        ({"depth": 18, "groups": 32}, "below depth 50"),
        ({"depth": 18, "stride_in_1x1": True}, "below depth 50"),
    ],
)
def test_arguments_are_checked(wrong, expected):
    assert_refused(ResNet, expected, **wrong)


def test_a_dilated_network_has_no_stride_of_32():
    with pytest.raises(ValueError, match=r"out_strides: .* 4, 8, 16, 16, .* \[32\]"):
        ResNet(dilated_c5=True, out_strides=[32])
