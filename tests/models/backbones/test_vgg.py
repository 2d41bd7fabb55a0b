"""VGG: torchvision's names and file, strides, and what is frozen."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon
from mxnet.gluon import nn
from mxnet.gluon.contrib.nn import Identity

from detkit.models.backbones import VGG
from detkit.weights import load_weights, read_pth
from support import backbones
from support.backbones import torch_shapes
from support.environment import SHARED
from support.refusals import assert_refused

VGG_FILE = SHARED / "data" / "weights" / "vgg16_features_fp16.pth"

# torchvision.models.vgg: convolutions' widths, M for a pooling
VGG_CONFIGS = {
    11: "64 M 128 M 256 256 M 512 512 M 512 512 M",
    13: "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    16: "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    19: "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}


def torchvision_vgg(depth, norm):
    """{name: shape} of torchvision's features, counted as its make_layers does."""
    shapes, layer, before = {}, 0, 3
    for entry in VGG_CONFIGS[depth].split():
        if entry == "M":
            layer += 1
            continue
        width = int(entry)
        shapes[f"features.{layer}.weight"] = (width, before, 3, 3)
        shapes[f"features.{layer}.bias"] = (width,)
        if norm:
            for name in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"features.{layer + 1}.{name}"] = (width,)
        layer += 3 if norm else 2
        before = width
    return shapes


@pytest.mark.parametrize("norm", [None, "BN"])
@pytest.mark.parametrize("depth", [11, 13, 16, 19])
def test_has_torchvisions_names(depth, norm):
    assert torch_shapes(VGG(depth, norm)) == torchvision_vgg(depth, norm)


@pytest.mark.parametrize(("height", "width"), [(32, 48), (16, 16), (47, 33)])
def test_stride_and_channels(height, width):
    backbone = VGG(11)
    backbone.initialize()
    (features,) = backbone(mx.nd.zeros((2, 3, height, width)))
    assert (backbone.strides, backbone.channels) == ((16,), (512,))
    assert features.shape == (2, 512, height // 16, width // 16)


@pytest.mark.parametrize("norm", [None, "BN"])
@pytest.mark.parametrize("frozen_stages", [0, 2, 4])
def test_frozen_stages_keep_weights_and_statistics(norm, frozen_stages):
    backbone = VGG(11, norm, frozen_stages)
    backbone.initialize()
    backbone.hybridize()
    parameters = backbone._collect_params_with_prefix()
    poolings = [n for n, layer in enumerate(backbone.features) if "Pool" in type(layer).__name__]
    limits = [0, *poolings, len(backbone.features)]

    def is_frozen(name):
        return int(name.split(".")[1]) < limits[frozen_stages]

    trained = {n: p for n, p in parameters.items() if p.grad_req != "null"}
    assert not any(is_frozen(name) for name in trained)
    assert all(is_frozen(n) or "running" in n for n in set(parameters) - set(trained))

    before = {name: p.data().asnumpy() for name, p in parameters.items()}
    trainer = gluon.Trainer(trained, "sgd", {"learning_rate": 0.1}, kvstore=None)
    images = mx.nd.random.uniform(-2, 2, (2, 3, 32, 32))
    images.attach_grad()
    with autograd.record():
        (features,) = backbone(images)
        total = (features**2).mean()
    total.backward()
    trainer.step(1)
    changed = {n for n, p in parameters.items() if (p.data().asnumpy() != before[n]).any()}
    moving = {n for n in parameters if "running" in n and not is_frozen(n)}
    expected = set(trained) | moving
    if norm:  # the mean takes up a convolution's bias: its gradient is next to nothing
        changed, expected = ({n for n in s if not n.endswith("bias")} for s in (changed, expected))
    assert changed == expected


def test_five_frozen_stages_are_all_of_it():
    parameters = VGG(16, norm="BN", frozen_stages=5).collect_params()
    assert {p.grad_req for p in parameters.values()} == {"null"}


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("norm", [None, "BN"])
@pytest.mark.parametrize("stride", [16, 8, 4])
def test_maps_of_several_stages(stride, norm, hybridized):
    """Each is what torchvision's layers, without the last poolings, make of the one before."""
    stages = (2, 4, 5) if stride == 4 else (2, 3, 5)  # of stride 4 there are then the last three
    backbone = backbones.fill(VGG(11, norm, out_strides=(2, 4, stride), stride=stride))
    assert torch_shapes(backbone) == torchvision_vgg(11, norm)
    assert backbone.channels == (128, 512 if stride == 4 else 256, 512)
    assert backbone.strides == (2, 4, stride)
    if hybridized:
        backbone.hybridize()
    images = mx.nd.array(backbones.probe(48, 64))
    x, expected, pooled = images, [], 1
    for layer in backbone.features:
        if isinstance(layer, (nn.MaxPool2D, Identity)):
            expected.append(x)
            if pooled < stride:
                x, pooled = (
                    mx.nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max"),
                    pooled * 2,
                )
        else:
            x = layer(x)
    expected = [*expected, x]
    maps = backbone(images)
    assert len(maps) == 3
    for features, stage, step in zip(maps, stages, backbone.strides):
        assert features.shape[2:] == (48 // step, 64 // step)
        np.testing.assert_allclose(
            features.asnumpy(), expected[stage - 1].asnumpy(), rtol=1e-4, atol=1e-5
        )


def test_ends_with_the_last_map_that_is_asked_for():
    backbone = VGG(16, out_strides=[4], stride=8)
    backbone.initialize()
    assert (backbone.channels, backbone.strides) == ((256,), (4,))
    (features,) = backbone(mx.nd.zeros((1, 3, 32, 16)))
    assert features.shape == (1, 256, 8, 4)
    assert max(int(name.split(".")[1]) for name in torch_shapes(backbone)) == 14  # conv3_3


@pytest.mark.parametrize("stride", [8, 4])
def test_gives_the_last_stage_by_default(stride):
    backbone = VGG(11, stride=stride)
    assert (backbone.channels, backbone.strides) == ((512,), (stride,))
    assert len(backbone.features) == len(VGG(11).features)


@pytest.mark.parametrize("stride", [8, 4])
def test_trains_at_a_smaller_stride(stride):
    backbone = backbones.fill(VGG(11, frozen_stages=2, out_strides=(stride,) * 2, stride=stride))
    backbone.hybridize()
    changed, _ = backbones.changed_by_a_step(backbone, backbones.probe(32, 32))
    frozen = {f"features.{n}.{kind}" for n in (0, 3) for kind in ("weight", "bias")}
    assert changed == set(torch_shapes(backbone)) - frozen


@pytest.mark.parametrize(
    ("name", "value"), [("depth", 12), ("frozen_stages", 6), ("frozen_stages", -1), ("stride", 32)]
)
def test_arguments_are_checked(name, value):
    assert_refused(VGG, **{name: value})


@pytest.mark.parametrize("wrong", [[], [4, 2], [32], [8, 8]])
def test_strides_that_are_not_there_are_refused(wrong):
    assert_refused(VGG, "1, 2, 4, 8, 16", out_strides=wrong)


@pytest.mark.skipif(not VGG_FILE.is_file(), reason=f"{VGG_FILE} is not there")
def test_vgg16_takes_torchvisions_file():
    backbone = VGG(16)
    backbone.initialize()
    state = read_pth(VGG_FILE)
    assert load_weights(backbone, state, allow_unused=False) == []
    loaded = backbone.features[28].weight.data().asnumpy()
    np.testing.assert_array_equal(loaded, state["features.28.weight"].astype("float32"))
    (features,) = backbone(mx.nd.random.uniform(-2, 2, (1, 3, 32, 32)))
    assert 0.05 < features.asnumpy().max() < 1000  # neither dead nor exploded
