"""Every shipped config: it resolves, and everything it names can be built as it says."""

import gc

import mxnet as mx
import numpy as np
import pytest
import tiny

from detkit import registry
from detkit.config import dump_config, load_config, to_plain
from detkit.data import Shapes
from detkit.data.voc import VOC_CLASSES
from detkit.plugins import import_plugins
from detkit.registry import DATASETS
from detkit.runner import setup

CONFIGS = sorted((tiny.ROOT / "configs").rglob("*.yaml"))
FIXED_PATHS = (
    "model.type",
    "model.backbone.type",
    "model.backbone.pretrained",
    "data.train",
    "data.val",
    "train.epochs",
    "train.lr",
    "train.batch_size",
    "seed",
)


class Stub(Shapes):
    """Few images, with the class names that a config's own dataset would have."""

    def __init__(self, class_names):
        super().__init__(length=3)
        self.class_names = class_names


def without_datasets(node):
    """Stands in for a dataset that this machine need not have; its arguments are still checked."""
    entry = DATASETS.entry(node["type"])
    accepted, _ = registry.signature(entry.target)
    assert set(node) - {"type"} <= set(accepted)
    names = node.get("class_names", VOC_CLASSES)
    return Stub(tuple(names) if entry.name == "VOC" else entry.target.class_names)


def build(path, monkeypatch):
    config = load_config(path)
    config["model"]["backbone"]["pretrained"] = None
    config["model"]["roi_head"].pop("pretrained", None)
    import_plugins(config)
    monkeypatch.setattr(setup, "build_dataset", lambda c, split: without_datasets(c["data"][split]))
    return setup.Training(config)


def name_of(path):
    return str(path.relative_to(tiny.ROOT / "configs"))


def test_the_promised_configs_are_there():
    assert set(map(name_of, CONFIGS)) >= {
        "faster_rcnn_vgg16.yaml",
        "bccd/faster_rcnn_vgg16_bccd.yaml",
        "bccd/faster_rcnn_mobilenet_v2_bccd.yaml",
        "voc/faster_rcnn_vgg16_voc07.yaml",
        "voc/faster_rcnn_vgg16_voc0712.yaml",
    }


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_it_resolves_to_itself(path, tmp_path):
    config = load_config(path)
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(dump_config(config))
    assert to_plain(load_config(resolved)) == to_plain(config)


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_it_has_the_paths_that_scripts_lean_on(path):
    for fixed in FIXED_PATHS:
        node = load_config(path)
        for key in fixed.split("."):
            assert key in node, fixed
            node = node[key]


@pytest.fixture
def weights_of_zero(monkeypatch):
    """VGG16 has 138 million weights: drawing them would take longer than all else here."""
    for initializer in (mx.init.Normal, mx.init.Xavier):
        monkeypatch.setattr(initializer, "_init_weight", mx.init.Zero()._init_weight)
    yield
    gc.collect()  # a network is made of circles, and two of these need gigabytes


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_everything_it_names_can_be_built(path, monkeypatch, weights_of_zero):
    training = build(path, monkeypatch)
    mx.nd.waitall()
    backbone = training.model.backbone
    assert backbone.stride == 16
    assert len(training.class_names) in (3, 6, 20)
    trained = [p for p in training.model.collect_params().values() if p.grad_req != "null"]
    assert sum(int(np.prod(parameter.shape)) for parameter in trained) > 1e6
    assert training.train_step is not None
    assert 0 < training.schedule(0, 0, training.options.epochs) <= 1


def test_the_default_config_needs_nothing_from_outside():
    config = load_config(tiny.ROOT / "configs/faster_rcnn_vgg16.yaml")
    assert config["model"]["backbone"]["pretrained"] is None
    assert config["data"]["train"]["type"] == config["data"]["val"]["type"] == "Shapes"
    assert config["data"]["train"]["seed"] != config["data"]["val"]["seed"]
    assert config["data"]["val"]["length"] == 200
