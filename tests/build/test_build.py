"""How a config is opened, and what build/data.py makes of its section ``data``."""

import mxnet as mx
import pytest
from mxnet.gluon import HybridBlock

from detkit.build import build_loader, open_config
from detkit.build.model import levels_of
from detkit.config import load_config
from detkit.errors import ConfigError
from detkit.registry import BACKBONES
from detkit.train_steps import FastRCNNTrainStep, MaskRCNNTrainStep, TrainStep
from support import tiny
from support.pictures import Pictures
from support.small import SmallBackbone


def loader(tmp_path, *overrides, inputs=TrainStep.INPUTS):
    config = load_config(tiny.project(tmp_path), overrides)
    return build_loader(config, "train", Pictures([(40, 60), (60, 40)] * 3), 2, inputs)


def test_groups_by_aspect_can_be_switched_off(tmp_path):
    assert len(loader(tmp_path)) == 4
    assert len(loader(tmp_path, "data.group_aspect=false")) == 3


def test_a_step_is_given_what_it_names(tmp_path):
    assert not loader(tmp_path).masks
    assert loader(tmp_path, inputs=MaskRCNNTrainStep.INPUTS).masks
    assert loader(tmp_path, inputs=FastRCNNTrainStep.INPUTS).fields == ()
    assert loader(tmp_path, inputs=(*TrainStep.INPUTS, "keypoints")).fields == ("keypoints",)


def test_images_to_be_evaluated_are_neither_shuffled_nor_changed(tmp_path):
    evaluated = loader(tmp_path, inputs=None)
    assert not evaluated.shuffle
    assert evaluated.transforms == ()
    assert loader(tmp_path).shuffle


def test_a_config_is_opened_with_its_overrides_and_plugins(tmp_path):
    config = open_config(tiny.project(tmp_path), ["train.epochs=5"])
    assert config["train"]["epochs"] == 5
    assert config.plugin_report.files == [str(tmp_path / "plugins/tiny.py")]


def test_a_section_that_nothing_reads_is_refused_before_plugins_run(tmp_path):
    path = tiny.project(tmp_path)
    (tmp_path / "plugins/bad.py").write_text("raise SystemExit(3)")
    with pytest.raises(ConfigError, match="'modl'.*did you mean 'model'"):
        open_config(path, ["modl.type=RPN", "plugins=[plugins/bad.py]"])


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


class Listless(HybridBlock):
    """A backbone whose attributes a test sets."""


@pytest.mark.parametrize(
    ("attributes", "fragments"),
    [
        (
            {"channels": 8, "strides": (4,)},
            ["'channels'", "found channels = 8", "channels = (64,)"],
        ),
        ({"channels": (8,), "stride": 4}, ["'strides'", "found none", "strides = (16,)"]),
        ({"channels": (8,), "strides": ()}, ["'strides'", "found strides = ()"]),
        ({"channels": ("8",), "strides": (4,)}, ["'channels'", "found channels = ('8',)"]),
        ({"channels": (8, 8), "strides": (4,)}, ["2 channels", "1 strides"]),
    ],
)
def test_a_backbone_without_a_list_of_its_maps_is_refused(attributes, fragments):
    backbone = Listless()
    for name, value in attributes.items():
        setattr(backbone, name, value)
    with pytest.raises(ConfigError) as caught:
        levels_of(backbone, {"type": "Listless"})
    tiny.assert_says(str(caught.value), "'Listless'", *fragments)


class OneMap(SmallBackbone):
    """A backbone that returns its map as it is."""

    def hybrid_forward(self, F, images):
        return self.features(images)


def test_a_backbone_that_returns_no_list_is_refused(small_model):
    model = small_model(backbone=OneMap())
    with pytest.raises(TypeError, match=r"OneMap.*list of maps.*single NDArray.*\[features\]"):
        model.features(mx.nd.zeros((1, 3, 32, 32)), mx.nd.array([[32, 32]]))
