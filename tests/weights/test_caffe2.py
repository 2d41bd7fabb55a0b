"""Detectron's files: their names beside torchvision's, and what a ResNet computes with them."""

import mxnet as mx
import numpy as np
import pytest

from detkit.errors import WeightsError
from detkit.models.backbones import VGG, ResNet
from detkit.models.roi_heads import FCHead
from detkit.naming import torch_name
from detkit.weights import from_caffe2, is_caffe2, load_weights, read_weights
from support.caffe2_files import resnet_blobs, write_detectron

VGG_CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def torch_names(block):
    return {torch_name(name) for name in block._collect_params_with_prefix()}


def one(*names):
    return {name: np.ones(1, "float32") for name in names}


def layer(x, blobs, name, stride=1, affine=None):
    """A convolution and the affine layer after it, as Detectron computes them."""
    weight = blobs[f"{name}_w"]
    kernel = weight.shape[2]
    x = mx.nd.Convolution(
        x,
        mx.nd.array(weight),
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pad=(kernel // 2, kernel // 2),
        num_filter=len(weight),
        no_bias=True,
    )
    affine = affine or f"{name}_bn"
    scale, shift = (mx.nd.array(blobs[f"{affine}_{k}"]).reshape((1, -1, 1, 1)) for k in "sb")
    return x * scale + shift


def detectrons_maps(x, blobs, blocks):
    """C2 and C3 of Detectron's bottlenecks, whose first 1x1 convolution has the stride."""
    x = layer(x, blobs, "conv1", 2, "res_conv1_bn").relu()
    x = mx.nd.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max")
    maps = []
    for stage, count in zip((2, 3), blocks):
        for block in range(count):
            name, stride = f"res{stage}_{block}_branch", 2 if stage == 3 and block == 0 else 1
            shortcut = layer(x, blobs, f"{name}1", stride) if block == 0 else x
            hidden = layer(x, blobs, f"{name}2a", stride).relu()
            hidden = layer(hidden, blobs, f"{name}2b").relu()
            x = (layer(hidden, blobs, f"{name}2c") + shortcut).relu()
        maps.append(x.asnumpy())
    return maps


@pytest.mark.parametrize("norm", ["FrozenBN", "FrozenStatsBN"])
def test_a_resnet_computes_what_detectrons_does(tmp_path, norm):
    blobs = resnet_blobs(50, stages=2)
    state = read_weights(write_detectron(tmp_path / "R-50.pkl", blobs))
    assert is_caffe2(state) and state.keys() == blobs.keys()
    backbone = ResNet(50, stride_in_1x1=True, out_strides=(4, 8), norm=norm)
    assert load_weights(backbone, from_caffe2(state), allow_unused=False) == []
    images = mx.nd.random.normal(shape=(2, 3, 40, 48))
    for found, expected in zip(backbone(images), detectrons_maps(images, blobs, (3, 4))):
        np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("depth", [18, 50, 101])
def test_every_weight_of_a_resnet_has_a_name(depth):
    blobs = {name: np.zeros(1, "float32") for name in resnet_blobs(depth)}
    found = from_caffe2({**blobs, **one("fc1000_w", "fc1000_b", "fc1000_w_momentum", "pred_w")})
    backbone = ResNet(depth, out_strides=(4, 8, 16, 32))
    assert found.keys() == {*torch_names(backbone), "fc.weight", "fc.bias", "pred_w"}


def test_group_norms_have_no_statistics():
    found = from_caffe2({name: np.zeros(1, "f4") for name in resnet_blobs(50, norm="gn")})
    assert found.keys() == torch_names(ResNet(50, out_strides=(32,), norm="GN"))


def test_statistics_that_a_file_has_are_kept():
    blobs = one("conv1_w", "conv1_bn_s", "conv1_bn_b", "conv1_bn_rm", "conv1_bn_riv")
    found = from_caffe2(blobs)
    assert found["bn1.running_mean"] is blobs["conv1_bn_rm"]
    assert found["bn1.running_var"] is blobs["conv1_bn_riv"]


def test_a_bias_before_a_norm_is_left_out_only_if_it_is_zero():
    assert "conv1.bias" in from_caffe2(one("conv1_w", "conv1_b"))
    assert list(from_caffe2({**one("conv1_w"), "conv1_b": np.zeros(1, "f4")})) == ["conv1.weight"]


@pytest.mark.parametrize("depth", VGG_CONVOLUTIONS)
def test_every_weight_of_a_vgg_has_a_name(depth):
    layers = [
        f"conv{stage}_{step + 1}"
        for stage, count in enumerate(VGG_CONVOLUTIONS[depth], 1)
        for step in range(count)
    ]
    dense = [f"fc{number}" for number in (6, 7, 8)]
    blobs = one(*(f"{name}_{kind}" for name in (*dense, *layers) for kind in "wb"))
    for number, blob in enumerate(layers):
        blobs[f"{blob}_w"] = np.full(1, number, "f4")
    assert is_caffe2(blobs)
    found = from_caffe2(blobs)
    _, head = FCHead(512, 7, 20, hidden=[4096, 4096]).pretrained_part()
    last = {"classifier.6.weight", "classifier.6.bias"}
    assert found.keys() == {*torch_names(VGG(depth)), *head.values(), *last}
    weights = [name for name in found if name.startswith("features") and "weight" in name]
    in_order = sorted(weights, key=lambda name: int(name.split(".")[1]))
    assert [found[name][0] for name in in_order] == list(range(len(layers)))


def test_other_names_are_no_caffe2():
    assert not is_caffe2(one("conv1.weight", "res2_0_branch2a_w"))


@pytest.mark.parametrize(
    ("blobs", "says"),
    [
        ({"conv1_w": np.ones(1, "i4")}, "'conv1_w': expected an array of floats, found int32"),
        (one("conv1_w", "conv1_bn_s", "res_conv1_bn_s"), "'bn1.weight', found two"),
    ],
)
def test_weights_that_cannot_be_are_refused(blobs, says):
    with pytest.raises(WeightsError, match=says):
        from_caffe2(blobs)
