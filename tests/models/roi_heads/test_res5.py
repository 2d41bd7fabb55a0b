"""C4's RoI head: torchvision's layer4 over the RoIs' cells, its names, and what it refuses."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit.build.model import build_model
from detkit.config import load_config
from detkit.models.backbones import ResNet
from detkit.models.roi_heads import Res5Head
from detkit.weights import load_weights
from support import backbones
from support.refusals import assert_refused

SMALL = {"in_channels": 256, "in_size": 6, "num_classes": 3, "depth": 18}


def cells(channels=256, size=6):
    rng = np.random.RandomState(0)
    return mx.nd.array(rng.standard_normal((4, channels, size, size)).clip(0))


def filled(name, shape):
    return mx.nd.array(backbones.filling(name, shape))


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("depth", [18, 50])
def test_logits_and_deltas_are_of_the_mean_of_c5(depth, hybridized):
    """C5 is the backbone's, whose numbers test_resnet.py compares with torchvision's."""
    channels, width = (256, 512) if depth == 18 else (1024, 2048)
    head = backbones.fill(Res5Head(channels, 6, 3, depth))
    backbone = backbones.fill(ResNet(depth, out_strides=(32,)))
    if hybridized:
        head.hybridize()
    features = cells(channels)
    logits, deltas = head(features)
    means = backbone.layer4(features).mean(axis=(2, 3))
    weights = {
        name: filled(name, shape)
        for name, shape in backbones.torch_shapes(head).items()
        if "layer4" not in name
    }
    assert weights["boxes.weight"].shape == (12, width)
    for found, name, shape in ((logits, "classes", (4, 4)), (deltas, "boxes", (4, 3, 4))):
        expected = mx.nd.dot(means, weights[f"{name}.weight"].T) + weights[f"{name}.bias"]
        assert found.shape == shape
        np.testing.assert_allclose(
            found.asnumpy(), expected.asnumpy().reshape(shape), rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize(("stride", "sides"), [(1, (6, 6)), (2, (3, 3))])
def test_stride(stride, sides):
    head = backbones.fill(Res5Head(**SMALL, stride=stride))
    assert head.layer4(cells()).shape[2:] == sides


def test_a_class_agnostic_head_has_one_box():
    head = backbones.fill(Res5Head(**SMALL, class_agnostic=True))
    logits, deltas = head(cells())
    assert (logits.shape, deltas.shape) == ((4, 4), (4, 1, 4))


def test_pretrained_is_torchvisions_layer4():
    backbone = ResNet(18, out_strides=(32,), frozen_stages=0)
    state = {n: backbones.filling(n, s) for n, s in backbones.torch_shapes(backbone).items()}
    head = Res5Head(**SMALL)
    head.initialize()
    block, names = head.pretrained_part()
    unused = load_weights(block, state, names)
    assert {name.split(".")[0] for name in unused} == {"conv1", "bn1", "layer1", "layer2", "layer3"}
    for name, parameter in head.layer4._collect_params_with_prefix().items():
        np.testing.assert_array_equal(
            parameter.data().asnumpy(), state[names[name]].astype("float32"), name
        )


@pytest.mark.parametrize("norm", ["BN", "FrozenBN", "GN"])
def test_what_learns(norm):
    head = Res5Head(**SMALL, norm=norm)
    head.initialize(mx.init.Xavier())
    head.hybridize()
    features = cells()
    features.attach_grad()
    with autograd.record():
        logits, deltas = head(features)
        total = (logits**2).sum() + (deltas**2).sum()
    total.backward()
    assert np.abs(features.grad.asnumpy()).max() > 0
    learning = {
        name
        for name, parameter in head._collect_params_with_prefix().items()
        if parameter.grad_req != "null" and np.abs(parameter.grad().asnumpy()).max() > 0
    }
    names = set(head._collect_params_with_prefix())
    statistics = {name for name in names if "running" in name}
    norms = {name for name in names if name.endswith(("gamma", "beta"))}
    assert learning == names - statistics - (norms if norm == "FrozenBN" else set())


C4 = """
model:
  type: FasterRCNN
  backbone: {type: ResNet, depth: 18, out_strides: [16]}
  anchors: {type: AnchorGrid, sizes: [32]}
  rpn_head: {type: RPNHead, channels: 16}
  proposals: {pre_nms: 20, post_nms: 5}
  roi_extractor: {type: RoIAlign, size: 4}
  roi_head: {type: Res5Head, depth: 18}
  postprocess: {score_floor: 0.0}
"""


def test_a_c4_detector_of_a_config(tmp_path):
    path = tmp_path / "c4.yaml"
    path.write_text(C4)
    model = build_model(load_config(path), ("a", "b"), mx.cpu())
    boxes, scores, labels = model(mx.nd.ones((1, 3, 64, 96)), mx.nd.array([[64, 96]]))
    assert boxes.shape[2] == 4
    assert scores.shape == labels.shape
    assert set(labels.asnumpy().ravel()) <= {-1, 0, 1}


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"stride": 3}, ["1 or 2"]),
        ({"in_channels": 512}, ["256", "depth 18", "out_strides: [16]"]),
        ({"depth": 20}, ["[18, 34, 50, 101, 152]"]),
        ({"norm": "LN"}, ["BN, FrozenBN, FrozenStatsBN, SyncBN, GN"]),
    ],
)
def test_arguments_are_checked(wrong, expected):
    assert_refused(partial(Res5Head, **SMALL), *expected, **wrong)
