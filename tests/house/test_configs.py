"""Every shipped config: it resolves, and everything it names can be built as it says."""

import mxnet as mx
import numpy as np
import pytest
import yaml

from detkit.build import data as data_module
from detkit.build.training import Training
from detkit.config import dump_config, load_config, to_plain
from detkit.construct import signature
from detkit.data import Shapes
from detkit.data.keypoints import Keypoints
from detkit.data.readers.voc import VOC_CLASSES
from detkit.keypoints import PERSON_SIGMAS
from detkit.plugins import import_plugins
from detkit.registry import DATASETS
from detkit.runner import Position
from support import tiny

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
SIZE = (96, 128)  # of the images that stand in for each config's own
MOST_BASES = 2


class Stub:
    """Few small images, with the classes and keypoints that a config's own dataset would have."""

    def __init__(self, class_names, keypoint_names=()):
        self._shapes = Shapes(length=3, size=SIZE, empty=0)
        self.class_names, self.dropped, self.bad_images = tuple(class_names), [], []
        self.keypoint_names = tuple(keypoint_names)

    def __len__(self):
        return len(self._shapes)

    def annotation(self, index):
        annotation = self._shapes.annotation(index)
        return annotation._replace(labels=annotation.labels % len(self.class_names))

    def image(self, index):
        return self._shapes.image(index)

    def masks(self, index):
        return self._shapes.masks(index)

    def field(self, name, index):
        points = self._shapes.field(name, index).points
        order = np.resize(np.arange(points.shape[1]), len(self.keypoint_names))
        return Keypoints(points[:, order], [range(len(order))] * 2)


class StubDatasets:
    """Builds Stubs for datasets that this machine need not have; arguments are still checked."""

    def get(self, name, where):
        return DATASETS.get(name, where)

    def build(self, node, **derived):
        entry = DATASETS.entry(node["type"])
        accepted, _ = signature(entry.target)
        assert {*node, *derived} - {"type"} <= set(accepted)
        known = {"VOC": VOC_CLASSES, "COCO": [f"class{label}" for label in range(80)]}
        keypoints = {"COCO": range(len(PERSON_SIGMAS))}.get(entry.name, Shapes.keypoint_names)
        names = node.get("class_names") or known.get(entry.name) or Shapes.class_names
        return Stub(names, keypoints)


def proposals_of(path, dataset, limit):
    """The objects themselves, a little moved, for each image."""
    annotations = [dataset.annotation(index) for index in range(len(dataset))]
    return {one.image_id: one.boxes + np.float32(2) for one in annotations}


def shrink(node):
    """Few proposals, few samples, small regions: what a network is made of stays, its work not."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, (dict, list)):
            shrink(value)
        elif key == "post_nms":
            node.put(key, 30, "the test")
        elif key == "size" and "Sampler" in str(node.get("type")):
            node.put(key, 16, "the test")
        elif key == "size" and node.get("type") == "Warp":
            node.put(key, 64, "the test")


def build(path, monkeypatch, overrides=()):
    """The Training of a config on small images and without files of weights."""
    config = load_config(path, overrides)
    shrink(config["model"])
    shrink(config["train_step"])
    if config["model"].get("postprocess") is not None:
        config["model"]["postprocess"].put("score_floor", 0.0, "the test")
        config["model"]["postprocess"].put("max_detections", 20, "the test")
    for node in config["model"].values():
        if isinstance(node, dict):
            node.pop("pretrained", None)
    for split in ("train", "val"):
        key = f"{split}_transforms"
        kept = [node for node in config["data"][key] if node["type"] != "Resize"]
        config["data"].put(key, kept, "the test")
    config["data"].put("workers", 0, "the test")
    config["train"].put("batch_size", 1, "the test")
    import_plugins(config)
    monkeypatch.setattr(data_module, "DATASETS", StubDatasets())
    monkeypatch.setattr(data_module, "load_proposals", proposals_of)
    return Training(config)


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


def bases(path):
    """How many levels of _base_ a config has."""
    base = yaml.safe_load(path.read_text()).get("_base_")
    return 0 if base is None else 1 + bases(path.parent / base)


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_it_says_what_it_is_and_is_not_far_from_it(path):
    assert path.read_text().startswith("# ")
    assert bases(path) <= MOST_BASES


@pytest.fixture
def quick_weights(monkeypatch):
    """Draws weights of a size that keeps every layer's output as large as its input, quickly."""
    rng = np.random.default_rng(0)

    def draw(self, name, array):
        scale = np.float32(12 / np.prod(array.shape[1:])) ** 0.5
        array[:] = (rng.random(array.shape, "float32") - np.float32(0.5)) * scale

    for initializer in (mx.init.Normal, mx.init.Xavier):
        monkeypatch.setattr(initializer, "_init_weight", draw)


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_it_builds_trains_evaluates_and_is_the_same_hybridized(path, monkeypatch, quick_weights):
    training = build(path, monkeypatch)
    weights = training.model.collect_params().values()
    assert sum(int(np.prod(p.shape)) for p in weights if p.grad_req != "null") > 1e6
    assert 0 < training.schedule(Position(step=0, update_start=0, epoch=0.0, share=0.0)) <= 1
    assert "one step (loss " in training.dry_run()  # refuses losses that are not finite

    batch = next(training.val_loader.batches(epoch=0))
    (hybridized,) = training.detector.detect_batch(batch)
    training.model.hybridize(False)
    (imperative,) = training.detector.detect_batch(batch)
    assert len(hybridized.boxes) == len(imperative.boxes) > 0
    assert_same_detections(hybridized, imperative)


@pytest.mark.parametrize(
    "levels",
    [
        ["model.anchors.levels=[4]", "model.anchors.sizes=[32, 64]"],
        ["model.roi_extractor.levels=[0]"],
        ["model.roi_extractor.combine=sum"],
        ["model.roi_extractor.combine=concat"],
        ["model.roi_extractor.canonical_size=64", "model.roi_extractor.canonical_level=3"],
        ["model.neck.zero_init_laterals=true", "model.neck.extra=p6p7"],
    ],
    ids=lambda overrides: overrides[0].partition(".")[2],
)
@pytest.mark.filterwarnings("ignore:Parameter fpn")  # levels that nobody looks at
def test_other_choices_of_levels(levels, monkeypatch, quick_weights):
    path = tiny.ROOT / "configs/coco/faster_rcnn_mobilenet_v3_fpn.yaml"
    if "p6p7" in levels[-1]:
        levels = [*levels, "model.anchors.sizes=[[32], [64], [128], [256], [512], [512]]"]
    training = build(path, monkeypatch, levels)
    assert "one step (loss " in training.dry_run()


def assert_same_detections(found, expected):
    """The same boxes, scores and labels; those of nearly the same score in any order."""
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    same = (
        (np.abs(found.boxes[:, None] - expected.boxes).max(axis=2) < 0.05)
        & (np.abs(found.scores[:, None] - expected.scores) < 1e-4)
        & (found.labels[:, None] == expected.labels)
    )
    assert same.any(axis=1).all()


def test_the_default_config_needs_nothing_from_outside():
    config = load_config(tiny.ROOT / "configs/faster_rcnn_vgg16.yaml")
    assert config["model"]["backbone"]["pretrained"] is None
    assert config["data"]["train"]["type"] == config["data"]["val"]["type"] == "Shapes"
    assert config["data"]["train"]["seed"] != config["data"]["val"]["seed"]
    assert config["data"]["val"]["length"] == 200
