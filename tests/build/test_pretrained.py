"""Weights of Detectron's files in a config; torchvision's are tested with each backbone."""

import mxnet as mx
import numpy as np
import pytest

from detkit.build import build_model, open_config
from detkit.errors import ConfigError, WeightsError
from support import tiny
from support.caffe2_files import resnet_blobs, write_detectron

BGR = "model.normalize={order: BGR, mean: [102.9801, 115.9465, 122.7717], std: [1, 1, 1]}"
NAMES = ("cat", "dog")


def opened(tmp_path, path, *overrides):
    backbone = f"{{_delete_: true, type: ResNet, depth: 18, out_strides: [4], pretrained: {path}}}"
    return open_config(tiny.project(tmp_path), [f"model.backbone={backbone}", *overrides])


@pytest.fixture
def blobs():
    return resnet_blobs(18, stages=1)


def test_detectrons_backbone(tmp_path, blobs):
    path = write_detectron(tmp_path / "R-18.pkl", blobs)
    model = build_model(opened(tmp_path, path, BGR), NAMES, mx.cpu())
    for block, blob in (
        (model.backbone.conv1.weight, "conv1_w"),
        (model.backbone.bn1.beta, "res_conv1_bn_b"),
        (model.backbone.layer1[1].conv2.weight, "res2_1_branch2b_w"),
    ):
        np.testing.assert_array_equal(block.data().asnumpy(), blobs[blob])


def test_names_that_are_not_used_are_counted_and_listed_in_debug(tmp_path, blobs, caplog):
    path = write_detectron(tmp_path / "R-18.pkl", {**blobs, "pred_w": np.zeros((2, 2), "f4")})
    config = opened(tmp_path, path, BGR)
    for level, listed in (("INFO", False), ("DEBUG", True)):
        caplog.clear()
        with caplog.at_level(level, "detkit"):
            build_model(config, NAMES, mx.cpu())
        (line,) = [one for one in caplog.messages if "names are not used" in one]
        tiny.assert_says(line, f"read {path}; 1 of its ", "--debug")
        assert any("not used: " in one and "pred_w" in one for one in caplog.messages) == listed


def test_channels_in_another_order_are_refused(tmp_path, blobs):
    path = write_detectron(tmp_path / "R-18.pkl", blobs)
    with pytest.raises(ConfigError) as caught:
        build_model(opened(tmp_path, path), NAMES, mx.cpu())
    tiny.assert_says(str(caught.value), "model.backbone.pretrained: ", "BGR", "found RGB")
    tiny.assert_says(str(caught.value), "model.normalize", "102.9801")


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        ("conv1_w", np.full((64, 3, 7, 7), np.nan, "f4"), "finite"),
        ("conv1_w", np.ones((64, 3, 5, 5), "f4"), "(64, 3, 7, 7)"),
        ("res2_0_branch2a_bn_s", np.ones(64, "i8"), "floats"),
        ("res2_0_branch2a_w", None, "missing"),
    ],
)
def test_detectrons_weights_are_checked(tmp_path, blobs, name, array, says):
    changed = {**blobs, name: array}
    changed = {blob: each for blob, each in changed.items() if each is not None}
    path = write_detectron(tmp_path / "R-18.pkl", changed)
    with pytest.raises(WeightsError) as caught:
        build_model(opened(tmp_path, path, BGR), NAMES, mx.cpu())
    tiny.assert_says(str(caught.value), "model.backbone.pretrained: ", str(path), says)
