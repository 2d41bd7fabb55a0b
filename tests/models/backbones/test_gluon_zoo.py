"""Classifiers of the model zoos as backbones: which maps are found, and that they train."""

import sys

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit.errors import ConfigError, WeightsError
from detkit.models.backbones import GluonZoo
from detkit.models.backbones.gluon_zoo import classifier
from detkit.registry import BACKBONES
from detkit.weights import load_weights, read_weights
from support import backbones

# Channels of the maps of strides 4, 8, 16 and, where there is one, 32: the ends of the stages in
# the papers' tables; in MobileNets, what the layer with the stride is given.
GLUON = {
    "resnet18_v2": (64, 128, 256, 512),
    "mobilenet1.0": (128, 256, 512, 1024),
    "densenet121": (128, 256, 512, 1024),
    "squeezenet1.0": (256, 512, 512),
    "vgg11": (256, 512, 512, 512),
}
GLUONCV = {
    "resnet18_v1b": (64, 128, 256, 512),
    "resnext50_32x4d": (256, 512, 1024, 2048),
    "mobilenetv3_small": (72, 96, 288, 576),
    "hrnet_w18_small_v1_c": (128, 256, 512, 2048),
}
CHANNELS = {**GLUON, **GLUONCV}
STRIDES = (4, 8, 16, 32)


def build(name, *args, **kwargs):
    if name in GLUONCV:
        pytest.importorskip("gluoncv", reason=f"{name} is GluonCV's, which is not installed")
    return GluonZoo(name, *args, **kwargs)


@pytest.mark.parametrize("name", CHANNELS)
def test_maps_are_found_by_their_strides(name):
    backbone = build(name, STRIDES[: len(CHANNELS[name])])
    assert backbone.channels == CHANNELS[name]
    assert backbone.strides == STRIDES[: len(CHANNELS[name])]
    backbone.initialize()
    maps = backbone(mx.nd.zeros((1, 3, 128, 192)))
    assert len(maps) == len(backbone.channels)
    for features, channels, stride in zip(maps, backbone.channels, backbone.strides):
        assert features.shape[:2] == (1, channels)
        # SqueezeNet's first layer is not padded: it loses cells.
        missing = np.array([128, 192]) / stride - features.shape[2:]
        assert (missing >= 0).all()
        assert (missing <= (2 if name == "squeezenet1.0" else 0)).all()


def outputs_and_gradients(backbone, images):
    with autograd.record():
        maps = backbone(images)
        total = sum((features**2).mean() for features in maps)
    total.backward()
    parameters = backbone._collect_params_with_prefix()
    trained = {name: p for name, p in parameters.items() if p.grad_req != "null"}
    gradients = {name: p.grad().asnumpy() for name, p in trained.items()}
    return [features.asnumpy() for features in maps], gradients


@pytest.mark.parametrize("name", CHANNELS)
def test_hybridized_is_the_same_forward_and_backward(name):
    backbone = build(name, STRIDES[1:3])
    mx.random.seed(0)
    backbone.initialize()
    images = mx.nd.array(backbones.probe(64, 96))
    backbone(images)
    for parameter in backbone.collect_params(".*gamma").values():
        parameter.set_data(mx.nd.ones(parameter.shape))  # some begin at 0, and nothing passes
    maps, gradients = outputs_and_gradients(backbone, images)
    backbone.hybridize()
    same_maps, same_gradients = outputs_and_gradients(backbone, images)
    assert len(maps) == len(same_maps) == 2
    for plain, hybridized in zip(maps, same_maps):
        assert plain.std() > 0
        np.testing.assert_allclose(hybridized, plain, rtol=1e-4, atol=1e-5 * np.abs(plain).max())
    largest = max(np.abs(gradient).max() for gradient in gradients.values())
    for parameter, gradient in gradients.items():
        np.testing.assert_allclose(same_gradients[parameter], gradient, atol=1e-4 * largest)
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())
    weights = [n for n in gradients if n.endswith("weight")]
    assert all(np.abs(gradients[name]).max() > 0 for name in weights)


def test_maps_are_what_the_network_computes_on_its_way():
    backbone = GluonZoo("vgg11", (4, 16))
    backbone.initialize()
    images = mx.nd.array(backbones.probe(64, 64))
    maps = backbone(images)
    parameters = {p.name: p.data() for p in backbone.collect_params().values()}
    x, expected = images, {}
    for number, width in enumerate((64, 128, 256, 256, 512, 512, 512, 512)):
        weight, bias = (parameters[f"vgg0_conv{number}_{kind}"] for kind in ("weight", "bias"))
        x = mx.nd.relu(
            mx.nd.Convolution(x, weight, bias, kernel=(3, 3), pad=(1, 1), num_filter=width)
        )
        expected[number] = x
        if number in (0, 1, 3, 5):
            x = mx.nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")
    for features, number in zip(maps, (3, 7)):
        np.testing.assert_allclose(features.asnumpy(), expected[number].asnumpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["mobilenet0.25", "resnet18_v1b"])
def test_pretrained_is_a_file_of_the_whole_classifier(name, tmp_path):
    backbone = build(name, (8, 16))
    whole = classifier(name)
    whole.initialize()
    images = mx.nd.array(backbones.probe(64, 96))
    whole(images)  # shapes become known
    for key, parameter in whole._collect_params_with_prefix().items():
        parameter.set_data(mx.nd.array(backbones.filling(key, parameter.shape)))
    whole.save_parameters(str(tmp_path / "classifier.params"))

    backbone.initialize()
    block, names = backbone.pretrained_part()
    unused = load_weights(block, read_weights(tmp_path / "classifier.params"), names)
    ends = {"mobilenet0.25": ("features.32", "features.68"), "resnet18_v1b": ("layer2", "layer3")}
    seen = []
    for end in ends[name]:
        layer = whole
        for child in end.split("."):
            layer = layer[int(child)] if child.isdigit() else getattr(layer, child)
        layer.register_forward_hook(lambda *arguments: seen.append(arguments[-1].asnumpy()))
    whole(images)
    for features, expected in zip(backbone(images), seen):
        np.testing.assert_allclose(features.asnumpy(), expected, rtol=1e-4, atol=1e-5)
    last = {"mobilenet0.25": "output.weight", "resnet18_v1b": "fc.weight"}[name]
    assert last in unused


def test_pretrained_of_another_network_is_refused(tmp_path):
    other = classifier("mobilenet0.25")
    other.initialize()
    other(mx.nd.zeros((1, 3, 32, 32)))
    other.save_parameters(str(tmp_path / "other.params"))
    block, names = GluonZoo("resnet18_v1", (8,)).pretrained_part()
    with pytest.raises(WeightsError, match="missing in the file|shapes of the network"):
        load_weights(block, read_weights(tmp_path / "other.params"), names)


def test_maps_can_be_named():
    backbone = GluonZoo("vgg11", out_names=["vgg0_relu2_fwd_output", "vgg0_pool3_fwd_output"])
    assert (backbone.channels, backbone.strides) == ((256, 512), (4, 16))
    backbone.initialize()
    shapes = [features.shape for features in backbone(mx.nd.zeros((2, 3, 64, 32)))]
    assert shapes == [(2, 256, 16, 8), (2, 512, 4, 2)]


def test_names_of_parameters_do_not_depend_on_the_networks_before():
    first, second = (GluonZoo("mobilenet0.25")._collect_params_with_prefix() for _ in range(2))
    assert list(first) == list(second)
    assert not any(first[name] is second[name] for name in first)


def test_nothing_after_the_last_map_is_kept():
    names = GluonZoo("vgg11", (8,))._collect_params_with_prefix()
    assert sum(name.endswith("weight") for name in names) == 6


@pytest.mark.parametrize(
    ("norm", "learning"),
    [
        ("FrozenBN", ("weight",)),
        ("FrozenStatsBN", ("weight", "gamma", "beta")),
        ("BN", ("weight", "gamma", "beta")),
    ],
)
def test_norm_says_what_the_norms_keep(norm, learning):
    backbone = GluonZoo("mobilenet0.25", (8,), norm=norm)
    backbone.initialize()
    images = backbones.probe(32, 32)
    backbone(mx.nd.array(images))
    changed, statistics = backbones.changed_by_a_step(backbone, images)
    parameters = backbone._collect_params_with_prefix()
    trained = {name for name, p in parameters.items() if p.grad_req != "null"}
    assert trained == {name for name in parameters if name.endswith(learning)}
    # A scale is near 1, and a small gradient may be lost beside it.
    assert trained - {name for name in trained if name.endswith("gamma")} <= changed <= trained
    moving = {n for n in parameters if n.endswith(("running_mean", "running_var"))}
    assert statistics == (moving if norm == "BN" else set())


@pytest.mark.parametrize("norm", ["SyncBN", "GN", "LN"])
def test_other_norms_cannot_take_the_networks_place(norm):
    with pytest.raises(ValueError, match=f"^norm: .*BN, FrozenBN, FrozenStatsBN.* '{norm}'$"):
        GluonZoo("mobilenet0.25", (8,), norm=norm)


def test_convolutions_begin_with_hes_initialisation():
    backbone = GluonZoo("vgg11", (16,))
    mx.random.seed(0)
    backbone.initialize()
    backbone(mx.nd.zeros((1, 3, 32, 32)))
    weights = [p for p in backbone.collect_params().values() if p.name.endswith("conv7_weight")]
    assert weights[0].data().asnumpy().std() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)


def test_a_stride_that_is_not_there_is_refused():
    message = r"^out_strides: .* 2, 4, 8, 16, .* \[16, 32\].* squeezenet1.0$"
    with pytest.raises(ValueError, match=message):
        GluonZoo("squeezenet1.0", (16, 32))


def test_a_name_of_a_map_that_is_not_there_is_refused():
    message = r"^out_names: .*vgg11.*'vgg0_relu2_output'; did you mean 'vgg0_relu\d_fwd_out"
    with pytest.raises(ValueError, match=message):
        GluonZoo("vgg11", out_names=["vgg0_relu2_output"])


def test_a_network_that_is_in_no_zoo_is_refused():
    pytest.importorskip("gluoncv", reason="GluonCV is not installed")
    message = r"^name: .*'resnet50_v1x'; did you mean .*'resnet50_v1\w'"
    with pytest.raises(ValueError, match=message):
        GluonZoo("resnet50_v1x")


def test_a_network_for_one_size_of_image_is_refused():
    pytest.importorskip("gluoncv", reason="GluonCV is not installed")
    message = "^name: .* 512 and 1024 pixels.* 'googlenet': .*dense0"
    with pytest.raises(ValueError, match=message):
        GluonZoo("googlenet")


def test_without_gluoncv_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gluoncv", None)
    assert GluonZoo("resnet18_v1").channels == (256,)
    message = r"name: .*'resnet18_v1b'.*\(.*gluoncv.*\): pip install 'detkit-gluon\[zoo\]'$"
    with pytest.raises(ConfigError, match=message):
        BACKBONES.build({"type": "GluonZoo", "name": "resnet18_v1b"})
