"""One part of every kind in plugin files, none of them derived from detkit's, trained together.

every_kind.py and box_kinds.py are those files; what is asked of their parts is what
plugins/README.md says of each kind.
"""

import json
import shutil
from contextlib import ExitStack

import numpy as np
import pytest

import detkit
from detkit.config import load_config
from detkit.plugins import import_plugins
from detkit.registry import REGISTRIES
from support import tiny

CONFIG = """
seed: 1
model:
  type: MyDetector
  backbone: {type: MyBackbone}
  neck: {type: MyNeck, channels: 6}
  anchors: {type: MyAnchors, side: 16}
  rpn_head: {type: MyRPNHead}
  proposals: {type: MyProposals}
  roi_extractor: {type: MyExtractor}
  roi_head: {type: MyRoIHead}
  postprocess: {type: MyPostprocess, nms: {type: MyNMS}}
train_step:
  rpn_targets: {assigner: {type: MyAssigner}, sampler: {type: MySampler}, straddle: null}
  rpn_loss: {box: {type: MyLoss}}
data:
  train: {type: MyDataset}
  val: {type: MyDataset, length: 3}
  train_transforms: [{type: MyTransform}]
  val_transforms: []
  pad_multiple: 16
  workers: 0
train:
  epochs: 2
  batch_size: 2
  lr: 0.01
  optimizer: {type: MyOptimizer}
  log_every: 1
  schedule: {type: MySchedule}
  hooks: [{type: MyHook, path: HOOK}]
evaluate: {type: MyEvaluator}
"""


@pytest.fixture
def project(tmp_path):
    """A folder with the plugin and the config, and its own registrations."""
    (tmp_path / "plugins").mkdir()
    for name in ("every_kind.py", "box_kinds.py"):
        shutil.copy(tiny.ROOT / "tests/support" / name, tmp_path / "plugins" / name)
    config = tmp_path / "mine.yaml"
    config.write_text(CONFIG.replace("HOOK", str(tmp_path / "steps")))
    with ExitStack() as stack:
        for registry in REGISTRIES.values():
            stack.enter_context(registry.temporarily())
        yield config


def test_there_is_one_of_every_kind(project):
    before = {kind: registry.names() for kind, registry in REGISTRIES.items()}
    import_plugins(load_config(project))
    for kind, registry in REGISTRIES.items():
        assert set(registry.names()) > set(before[kind]), kind


def test_a_part_of_every_kind_trains_evaluates_and_detects(project, tmp_path):
    assert tiny.train(project, tmp_path / "run") == 0
    assert (tmp_path / "steps").read_text() == "6"
    losses = tiny.records(tmp_path / "run", "train")
    expected = [0.01 / (1 + step) for step in range(6)]
    assert [record["lr"] for record in losses] == pytest.approx(expected)
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["AP50"] == 1
    detector = detkit.load(project, tmp_path / "run/checkpoints/best", device="cpu")
    (found,) = detector.detect([np.zeros((40, 56, 3), "uint8")])
    assert found.class_names == ("square",)
    assert len(found.boxes) == 1


def test_they_are_listed_with_their_places(project, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert tiny.tool("list") == 0
    listed = capsys.readouterr().out
    for name in ("MyBackbone", "MyNeck", "MyDetector(normalize, backbone", "MyHook(path: str)"):
        assert name in listed
