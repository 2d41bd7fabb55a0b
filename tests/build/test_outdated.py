"""Settings of earlier versions are reported with what to write instead."""

import pytest

from detkit.build import open_config
from detkit.errors import ConfigError
from detkit.registry import BACKBONES
from support import tiny

RESNET = "model.backbone={type: ResNet, depth: 18, out_stages: [2, 5], dilated_c5: true}"
OUTDATED = {  # --set: what is expected instead
    RESNET: "out_strides: [4, 16]",
    "model.backbone={type: VGG, out_stages: [3, 4, 5], stride: 8}": "out_strides: [4, 8, 8]",
    "model.backbone={type: VGG, out_stages: [4], stride: 8}": "out_strides, some of [1, 2, 4, 8",
    "model.backbone={type: VGG, out_stages: x}": "out_strides, a list of strides",
    "model.backbone={type: MobileNetV3, out_stages: [4, 5]}": "out_strides: [32, 32]",
    "model.backbone={type: GluonZoo, name: x, frozen_norm: true}": "norm: FrozenBN",
    "model.backbone={type: GluonZoo, name: x, frozen_norm: false}": "norm: BN",
    "model.roi_extractor.sampling=0": "sampling: null",
    "train_step.rpn_targets.straddle=-1": "straddle: null",
}


@pytest.mark.parametrize("override", OUTDATED)
def test_an_outdated_setting_is_named_with_what_to_write(tmp_path, override):
    with pytest.raises(ConfigError) as caught:
        open_config(tiny.project(tmp_path), [override])
    first, line = str(caught.value).splitlines()
    assert first.startswith(str(tmp_path / "configs/tiny.yaml: "))
    tiny.assert_says(line, f"--set {override}: ", f": expected {OUTDATED[override]}", ", found ")


def test_all_outdated_settings_of_a_runs_config_are_listed_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = tiny.project(tmp_path)
    text = config.read_text().replace("straddle: null", "straddle: -1")
    backbone = "{type: ResNet, out_stages: [2, 3, 4, 5]}"
    config.write_text(text.replace("{type: TinyBackbone}", backbone))
    number = 1 + text.splitlines().index("    straddle: -1")
    tiny.assert_says(
        tiny.refused(capsys, "test", "configs/tiny.yaml", "checkpoints/best"),
        "configs/tiny.yaml:6: model.backbone.out_stages: expected out_strides: [4, 8, 16, 32]",
        f"configs/tiny.yaml:{number}: train_step.rpn_targets.straddle: expected straddle: null",
    )


PLUGIN = """
from support.small import SmallBackbone
from mxnet.gluon import HybridBlock
from detkit.registry import BACKBONES

@BACKBONES.register(force=True)
class VGG(HybridBlock):
    def __init__(self, out_stages: list):
        super().__init__()
"""


@pytest.fixture
def own_vgg(tmp_path):
    """The config of a project whose plugin replaces VGG by a backbone with other arguments."""
    ours = BACKBONES.get("VGG")
    config = tiny.project(tmp_path)
    (tmp_path / "plugins/own.py").write_text(PLUGIN)
    yield config
    BACKBONES.register(force=True)(ours)


def test_a_plugins_own_argument_is_not_outdated(own_vgg):
    config = open_config(own_vgg, ["model.backbone={type: VGG, out_stages: [3]}"])
    assert config["model"]["backbone"]["out_stages"] == [3]
