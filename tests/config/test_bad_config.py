"""A wrong config gives status 1, no traceback, and a message with the place, value and remedy.

Each case is a row: the fault, and the fragments that the message must hold.
"""

from pathlib import Path

import pytest

from detkit.registry import FAILED_PLUGINS
from support import tiny


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project as the current folder; the config is configs/tiny.yaml."""
    monkeypatch.chdir(tmp_path)
    tiny.project(tmp_path)
    return tmp_path


FILES = {
    "absent.yaml": (None, ["absent.yaml: ", "No such file or directory"]),
    "configs": (None, ["configs: ", "a YAML file", "a folder"]),
    "malformed.yaml": (
        b"train:\n  lr: [1,\nseed: 2",
        ["malformed.yaml:3:8: ", "expected ',' or ']'"],
    ),
    "tab.yaml": (b"train:\n\tlr: 1", ["tab.yaml:2:1: ", "found character"]),
    "empty.yaml": (b"", ["empty.yaml: ", "a mapping", "an empty file"]),
    "list.yaml": (b"- 1", ["list.yaml: ", "a mapping", "[1] (list)", "top level"]),
    "bytes.yaml": (b"\xff\xfe\x00", ["bytes.yaml:1: ", "UTF-8"]),
    "part.yaml": (b"model: {}", ["part.yaml: ", "'data' is missing"]),
    "python.yaml": (
        b"seed: !!python/object/apply:os.system [ls]",
        ["python.yaml:1: ", "tag", "python/object/apply:os.system"],
    ),
    "base.yaml": (b"_base_: tinny.yaml", ["base.yaml:1: _base_: ", "no such file", "tinny.yaml"]),
}


@pytest.mark.parametrize("file", FILES)
def test_config_files(refused, file):
    content, fragments = FILES[file]
    if content is not None:
        Path(file).write_bytes(content)
    tiny.assert_says(refused("train", file, "--dry-run"), *fragments)


# --set: fragments of the message, beside the override that it begins with
VALUES = {
    "modle.type=x": ["'modle'", "did you mean 'model'?", "accepted: seed, model"],
    "train.epoch=3": ["'epoch'", "did you mean 'epochs'?", "epochs=None", "lr (required)"],
    "data.tests=3": ["data.tests: ", "unknown key", "accepted: train, val, test"],
    "data.test=3": ["data.test: ", "a mapping", "3 (int)"],
    "data.test={type: Vocc}": ["data.test.type: ", "Vocc", "VOC"],
    "model.neck=3": ["model.neck: ", "a mapping", "3 (int)"],
    "model.nek=3": ["model.nek: ", "unknown key", "'neck'?"],
    "model.backbone.depth=3": ["'depth'", "TinyBackbone (plugins/tiny.py:"],
    "model.backbone.type=Tinybackbone": ["unknown backbone", "'TinyBackbone'?", "VGG"],
    "model.backbone={depth: 3}": ["model.backbone: ", "'type' is missing"],
    "train.hooks=[{type: Nope}]": ["train.hooks.0.type: ", "unknown hook", "registered: "],
    "evaluate.ious=[2]": ["evaluate.ious: ", "VOCEvaluator", "[2]"],
    "evaluate.type=VOC": ["evaluate.type: ", "unknown evaluator", "VOCEvaluator"],
    "train=null": ["train: ", "a mapping", "found null"],
    "train=[1]": ["train: ", "a mapping", "[1] (list)"],
    "model=null": ["model: ", "a mapping", "found null"],
    "data.train=null": ["data.train: ", "a mapping", "found null"],
    "model.backbone=VGG": ["model.backbone: ", "a mapping", "'VGG' (str)"],
    "train.schedule=Cosine": ["train.schedule: ", "a mapping", "'Cosine' (str)"],
    "train.hooks=[1]": ["train.hooks: ", "list of mappings", "[1] (list)"],
    "data.train_transforms=null": ["data.train_transforms: ", "a list", "found null"],
    "train.lr=fast": ["train.lr: ", "expected float", "'fast' (str)"],
    "train.lr=.nan": ["lr", "above 0", "nan"],
    "train.lr=.inf": ["lr", "above 0", "inf"],
    "train.lr=0": ["lr", "above 0"],
    "train.momentum=1": ["momentum", "below 1"],
    "train.weight_decay=-1": ["weight_decay", "at least 0", "-1"],
    "train.clip_norm=0": ["clip_norm", "above 0"],
    "train.batch_size=-1": ["batch_size", "at least 1", "-1"],
    "train.batch_size=0": ["batch_size", "at least 1"],
    "train.batch_size=1.5": ["train.batch_size: ", "expected int", "1.5 (float)"],
    "train.batch_size=true": ["train.batch_size: ", "expected int", "True (bool)"],
    "train.epochs=0": ["epochs", "at least 1"],
    "train.log_every=0": ["log_every", "at least 1"],
    "train.accumulate=0": ["accumulate", "at least 1"],
    "train.keep=0": ["keep", "at least 1"],
    "train.pictures=-1": ["pictures", "at least 0", "-1"],
    "train.device=tpu": ["train.device: ", "auto, cpu, gpu", "gpu:1", "'tpu'"],
    "train.precision=fp16": ["train.precision: ", "'fp32' or 'bf16' or 'auto'", "'fp16' (str)"],
    "train.schedule.drops=[a]": ["drops: ", "a list of float", "['a'] (list)"],
    "train.multipliers=[{match: nope}]": ["trained weight", "'nope'", "names look"],
    "seed=-1": ["seed: ", "from 0", "-1 (int)"],
    "seed=true": ["seed: ", "from 0", "True (bool)"],
    "data.train.length=0": ["data.train", "length", "at least 1", "found 0"],
    "data.val.size=[8, 8]": ["data.val", "size", "(height, width)", "at least 32", "[8, 8]"],
    "model.backbone={_delete_: true, type: VGG, depth: 11, norm: SyncBN}": [
        "model.backbone.norm",
        "SyncBN",
        "one device",
        "norm: BN",
        "GN",
    ],
    "model.backbone={_delete_: true, type: VGG, depth: 11, norm: {type: SyncBN}}": [
        "model.backbone.norm",
        "SyncBN",
        "one device",
    ],
    "model.backbone={_delete_: true, type: VGG, depth: 11, norm: {type: GN, groups: 48}}": [
        "model.backbone.norm: ",
        "multiple of 48",
        "found 64",
    ],
    "model.roi_extractor.sampling=-1": ["roi_extractor.sampling", "at least 1", "null", "-1"],
    "model.backbone={type: ResNet, out_strides: [4, 64]}": [
        "model.backbone.out_strides: ",
        "4, 8, 16, 32",
        "[4, 64]",
    ],
    "model.backbone={type: ResNet, out_strides: [32], dilated_c5: true}": [
        "model.backbone.out_strides: ",
        "4, 8, 16, 16",
        "[32]",
    ],
    "train_step.rpn_targets.straddle=-0.5": ["rpn_targets.straddle: ", "straddle: null", "-0.5"],
    "model.anchors.sizes=[]": ["model.anchors.sizes", "above 0", "[]"],
    "model.anchors.sizes=[999]": ["model.anchors: ", "no anchor fits", "64 x 64"],
    "model.anchors.strides=[4]": ["model.anchors.strides: ", "derive", "remove the key"],
    "model.rpn_head.objectness=tanh": ["objectness", "softmax", "sigmoid", "'tanh'"],
    "model.rpn_head.channels=0": ["channels", "at least 1"],
    "model.roi_head.hidden=[0]": ["hidden", "at least 1", "[0]"],
    "model.roi_extractor.size=0": ["model.roi_extractor", "size", "at least 1"],
    "model.proposals.iou=2": ["model.proposals", "iou", "(0, 1]"],
    "model.proposals.box_weights=[1]": ["box_weights: ", "a list of 4 (float,", "[1] (list)"],
    "data.val_transforms=[{type: HorizontalFlip}]": [
        "data.val_transforms.0: ",
        "HorizontalFlip",
        "train_transforms",
    ],
    "train_step=null": ["train_step.rpn_targets", "'assigner', 'sampler'"],
    "train_step.rpn_targets.sampler={type: OHEM}": ["rpn_targets", "OHEM", "loss and box"],
    "train_step.rpn_loss.class={type: CrossEntropy}": [
        "train_step.rpn_loss",
        "CrossEntropy",
        "labels",
        "binary",
    ],
    "train_step.roi_loss.class={type: CrossEntropy, weights: [1, 2]}": [
        "train_step.roi_loss",
        "class: ",
        "2 weights",
        "6 classes",
        "expected 7",
    ],
    "train_step.roi_loss.class=null": ["roi_loss.class: ", "a mapping", "found null"],
    "train_step.roi_loss.class_loss=1": ["class_loss", "did you mean 'class'?"],
    "train_step.rpn_targets.assigner.crowd_share=2": ["crowd_share", "[0, 1]"],
    "plugins=x.py": ["plugins: ", "a list of str", "'x.py' (str)"],
    "plugins=[x.py]": ["plugins.0: ", "configs/x.py or x.py"],
    "train.lr": ["KEY.KEY=VALUE", "train.epochs=2", "found 'train.lr'"],
    "train.lr=[1": ["malformed YAML"],
    "data.train_transforms.3.p=1": ["an index below 1", "data.train_transforms", "found '3'"],
    "data.workers=-1": ["workers", "at least 0", "found -1"],
    "data.workers=two": ["data.workers: ", "expected int", "'two' (str)"],
    "data.workers=1.5": ["data.workers: ", "expected int", "1.5 (float)"],
    "data.pad_multiple=0": ["pad_multiple", "at least 1", "found 0"],
    "data.pad_multiple=null": ["data.pad_multiple: ", "expected int", "found null"],
    "tta=flip": ["tta: ", "a mapping", "'flip' (str)"],
    "tta={scales: [600]}": ["tta.scales: ", "unknown key", "short=None"],
    "tta={short: small}": ["tta.short: ", "int", "'small' (str)"],
    "tta={short: [600, -1], long: 1000}": ["tta.short: ", "1 to 10000 pixels", "-1"],
    "tta={short: 1000000000, long: 1000000000}": ["tta.short: ", "1 to 10000 pixels"],
    "tta={short: [], long: 1000}": ["tta.short: ", "1 to 10000 pixels", "[]"],
    "tta={short: [64, 64], long: 100}": ["tta.short: ", "each size once", "[64, 64]"],
    "tta={short: 64}": ["tta: ", "long: ", "no Resize", "null"],
    "tta={short: 64, long: 32}": ["tta.long: ", "64 (the largest short)", "32"],
    "tta={long: 100}": ["tta.long: ", "expected null", "100"],
    "tta={flips: true}": ["tta.flips: ", "a list of str", "True (bool)"],
    "tta={flips: [left]}": ["tta.flips: ", "horizontal, vertical", "left"],
    "tta={nms: {type: soft}}": ["tta.nms.type: ", "unknown NMS", "gaussian, hard, linear"],
    "tta={nms_iou: 2}": ["tta.nms_iou: ", "(0, 1]", "2"],
    "tta={max_detections: 0}": ["tta.max_detections: ", "at least 1", "0"],
    "tta={voting: {iou: 1}}": ["tta.voting.iou: ", "[0, 1)", "1"],
    "tta={voting: 0.5}": ["tta.voting: ", "a mapping", "0.5"],
    "data.train_transforms=[HorizontalFlip]": [
        "data.train_transforms: ",
        "list of mappings",
        "['HorizontalFlip']",
    ],
}


@pytest.mark.parametrize("override", VALUES)
def test_values_of_a_config(refused, override):
    message = refused("train", "configs/tiny.yaml", "--dry-run", "--set", override)
    tiny.assert_says(message.replace(f"--set {override}", ""), *VALUES[override])
    place = f"error: --set {override}" in message or "error: configs/tiny.yaml:" in message
    assert place, message


def test_debug_adds_the_traceback(project, capsys):
    assert tiny.tool("train", "absent.yaml", "--debug") == 1
    shown = capsys.readouterr().err
    tiny.assert_says(shown, "Traceback", "config/yaml.py", "error: absent.yaml: ")


# --- plugins --------------------------------------------------------------------------------------


@pytest.fixture
def broken_plugin(project):
    known = list(FAILED_PLUGINS)
    Path("plugins/broken.py").write_text("x = 1\ndef y(:\n")
    yield
    FAILED_PLUGINS[:] = known


def test_a_broken_plugin_that_is_not_needed_is_a_warning(broken_plugin, capsys):
    assert tiny.tool("train", "configs/tiny.yaml", "--dry-run") == 0
    said = capsys.readouterr()
    tiny.assert_says(said.err, "warning: ", "plugins/broken.py:2: SyntaxError: inva")
    assert "dry run: " in said.out


def test_a_broken_plugin_that_is_needed_is_named(broken_plugin, project, capsys):
    override = "model.backbone.type=Broken"
    assert tiny.tool("train", "configs/tiny.yaml", "--set", override) == 1
    message = capsys.readouterr().err
    tiny.assert_says(
        message,
        f"error: --set {override}: model.backbone.type: ",
        "unknown backbone",
        "'Broken'",
        "failed to import",
        "    plugins/broken.py:2: SyntaxError: invalid syntax",
        "        def y(:",
    )
