"""What a wrong config gets: status 1, no traceback, a message with place, finding and remedy.

Each case is a row: what is wrong, and fragments that the message must hold.
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
    "absent.yaml": (None, ["absent.yaml: cannot be read: No such file or directory"]),
    "configs": (None, ["configs: is a folder; expected a YAML file"]),
    "malformed.yaml": (
        b"train:\n  lr: [1,\nseed: 2",
        ["malformed.yaml:3:8: malformed YAML: expected ',' or ']'"],
    ),
    "tab.yaml": (b"train:\n\tlr: 1", ["tab.yaml:2:1: malformed YAML: found character"]),
    "empty.yaml": (b"", ["empty.yaml: the config is empty; expected a mapping of keys to values"]),
    "list.yaml": (b"- 1", ["list.yaml: the config holds [1] (list) at the top level; expected"]),
    "bytes.yaml": (b"\xff\xfe\x00", ["bytes.yaml:1: not UTF-8 text"]),
    "part.yaml": (b"model: {}", ["part.yaml: the key 'data' is missing"]),
    "python.yaml": (
        b"seed: !!python/object/apply:os.system [ls]",
        ["python.yaml:1: the YAML tag", "python/object/apply:os.system is not read"],
    ),
    "base.yaml": (b"_base_: tinny.yaml", ["base.yaml:1: _base_: no such file: tinny.yaml"]),
}


@pytest.mark.parametrize("file", FILES)
def test_config_files(refused, file):
    content, fragments = FILES[file]
    if content is not None:
        Path(file).write_bytes(content)
    tiny.assert_says(refused("train", file, "--dry-run"), *fragments)


# --set: fragments of the message
VALUES = {
    "modle.type=x": ["unknown key 'modle'; did you mean 'model'?", "accepted: seed, model"],
    "train.epoch=3": [
        "unknown key 'epoch'; did you mean 'epochs'?",
        "epochs=None",
        "lr (required)",
    ],
    "data.test=3": ["data.test: unknown key 'test'", "accepted: train, val"],
    "model.neck=3": ["model.neck: expected a mapping, found 3 (int)"],
    "model.nek=3": ["model.nek: unknown key 'nek'", "neck"],
    "model.backbone.depth=3": ["unknown key 'depth'", "of TinyBackbone (plugins/tiny.py:"],
    "model.backbone.type=Tinybackbone": ["unknown backbone", "did you mean 'TinyBackbone'?", "VGG"],
    "model.backbone={depth: 3}": ["model.backbone: the key 'type' is missing"],
    "train.hooks=[{type: Nope}]": ["train.hooks.0.type: unknown hook 'Nope'", "registered: "],
    "evaluate.ious=[2]": ["evaluate.ious", "VOCEvaluator", "found [2]"],
    "evaluate.type=VOC": ["evaluate.type: unknown evaluator 'VOC'", "VOCEvaluator"],
    "train=null": ["train: expected a mapping, found null"],
    "train=[1]": ["train: expected a mapping, found [1] (list)"],
    "model=null": ["model: expected a mapping, found null"],
    "data.train=null": ["data.train: expected a mapping, found null"],
    "model.backbone=VGG": ["model.backbone: expected a mapping, found 'VGG' (str)"],
    "train.schedule=Cosine": ["train.schedule: expected a mapping, found 'Cosine' (str)"],
    "train.hooks=[1]": ["train.hooks: expected a list of mappings, found [1] (list)"],
    "data.train_transforms=null": ["data.train_transforms: expected a list", ", found null"],
    "train.lr=fast": ["train.lr: expected float, found 'fast' (str)"],
    "train.lr=.nan": ["lr is a number above 0, not nan"],
    "train.lr=.inf": ["lr is a number above 0, not inf"],
    "train.lr=0": ["lr is a number above 0, not 0"],
    "train.momentum=1": ["momentum is at least 0 and below 1, not 1"],
    "train.weight_decay=-1": ["weight_decay is at least 0, not -1"],
    "train.clip_norm=0": ["clip_norm is a number above 0, not 0"],
    "train.batch_size=-1": ["batch_size is at least 1, not -1"],
    "train.batch_size=0": ["batch_size is at least 1, not 0"],
    "train.batch_size=1.5": ["train.batch_size: expected int, found 1.5 (float)"],
    "train.batch_size=true": ["train.batch_size: expected int, found True (bool)"],
    "train.epochs=0": ["epochs is at least 1, not 0"],
    "train.log_every=0": ["log_every is at least 1, not 0"],
    "train.accumulate=0": ["accumulate is at least 1, not 0"],
    "train.keep=0": ["keep is at least 1, not 0"],
    "train.pictures=-1": ["pictures is at least 0, not -1"],
    "train.device=tpu": ["train.device: expected 'auto' or 'cpu' or 'gpu', found 'tpu' (str)"],
    "train.schedule.drops=[a]": ["drops: expected a list of float", "found ['a'] (list)"],
    "train.multipliers=[{match: nope}]": ["no trained weight's name matches 'nope'; names look"],
    "seed=-1": ["seed: expected a whole number from 0 on, found -1 (int)"],
    "seed=true": ["seed: expected a whole number from 0 on, found True (bool)"],
    "data.train.length=0": ["data.train", "length is 0, expected an integer of at least 1"],
    "data.val.size=[8, 8]": ["data.val", "size is [8, 8], expected (height, width), two integers"],
    "model.backbone={_delete_: true, type: VGG, depth: 11, norm: SyncBN}": [
        "model.backbone.norm",
        "SyncBN",
        "one device",
        "norm: BN",
        "GN",
    ],
    "model.anchors.sizes=[]": ["model.anchors", "sizes and ratios need at least one number each"],
    "model.anchors.sizes=[999]": ["model.anchors: no anchor fits into the images", "64 x 64"],
    "model.anchors.strides=[4]": [
        "model.anchors.strides: detkit derives 'strides'",
        "remove the key",
    ],
    "model.rpn_head.objectness=tanh": ["model.rpn_head.objectness", "softmax", "sigmoid", "'tanh'"],
    "model.rpn_head.channels=0": ["model.rpn_head.channels", "at least 1", "found 0"],
    "model.roi_head.hidden=[0]": ["model.roi_head.hidden", "at least 1", "found [0]"],
    "model.roi_extractor.size=0": ["model.roi_extractor", "size is at least 1, not 0"],
    "model.proposals.iou=2": ["model.proposals", "iou is in (0, 1]"],
    "model.proposals.box_weights=[1]": ["box_weights: expected a list of 4 (float, float, float"],
    "data.val_transforms=[{type: HorizontalFlip}]": [
        "data.val_transforms.0: HorizontalFlip mirrors the image",
        "it belongs in data.train_transforms alone",
    ],
    "model.roi_extractor.sampling=-1": ["roi_extractor.sampling", "at least 1 or null, found -1"],
    "model.backbone={type: ResNet, out_strides: [4, 64]}": [
        "model.backbone.out_strides: ResNet",
        "4, 8, 16, 32",
        "found [4, 64]",
    ],
    "model.backbone={type: ResNet, out_strides: [32], dilated_c5: true}": [
        "model.backbone.out_strides: ResNet",
        "4, 8, 16, 16",
        "found [32]",
    ],
    "train_step.rpn_targets.straddle=-0.5": [
        "train_step.rpn_targets.straddle: expected straddle: null, found straddle: -0.5"
    ],
    "train_step=null": ["train_step.rpn_targets", "needs the missing keys 'assigner', 'sampler'"],
    "train_step.rpn_targets.sampler={type: OHEM}": [
        "train_step.rpn_targets",
        "the sampler OHEM needs loss and box, which RoIs have and anchors have not",
    ],
    "train_step.rpn_loss.class={type: CrossEntropy}": [
        "train_step.rpn_loss",
        "class: the loss CrossEntropy compares labels; one is needed that compares binary",
    ],
    "train_step.roi_loss.class={type: CrossEntropy, weights: [1, 2]}": [
        "train_step.roi_loss",
        "class: there are 2 weights for 6 classes; expected 7, that of the background first",
    ],
    "train_step.roi_loss.class=null": ["train_step.roi_loss.class: expected a mapping, found null"],
    "train_step.roi_loss.class_loss=1": ["unknown key 'class_loss'; did you mean 'class'?"],
    "train_step.rpn_targets.assigner.crowd_share=2": ["crowd_share is in [0, 1], but here it is 2"],
    "plugins=x.py": ["plugins: expected a list of str, found 'x.py' (str)"],
    "plugins=[x.py]": ["plugins.0: no such plugin file: configs/x.py or x.py"],
    "train.lr": ["--set train.lr: expected KEY.KEY=VALUE"],
    "train.lr=[1": ["malformed YAML"],
    "data.train_transforms.3.p=1": ["'3' is not an index into data.train_transforms"],
    "data.workers=-1": ["workers is -1, expected at least 0"],
    "data.workers=two": ["data.workers: expected int, found 'two' (str)"],
    "data.workers=1.5": ["data.workers: expected int, found 1.5 (float)"],
    "data.pad_multiple=0": ["pad_multiple is 0, expected at least 1"],
    "data.pad_multiple=null": ["data.pad_multiple: expected int, found null"],
    "data.train_transforms=[HorizontalFlip]": [
        "data.train_transforms: expected a list of mappings"
    ],
}


@pytest.mark.parametrize("override", VALUES)
def test_values_of_a_config(refused, override):
    message = refused("train", "configs/tiny.yaml", "--dry-run", "--set", override)
    tiny.assert_says(message, *VALUES[override])
    place = f"error: --set {override}" in message or "error: configs/tiny.yaml:" in message
    assert place, message


def test_debug_adds_the_traceback(project, capsys):
    assert tiny.tool("train", "absent.yaml", "--debug") == 1
    shown = capsys.readouterr().err
    tiny.assert_says(shown, "Traceback", "config/yaml.py", "error: absent.yaml: cannot be read")


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
    tiny.assert_says(
        said.err, "warning: a plugin cannot be used: plugins/broken.py:2: SyntaxError: inva"
    )
    assert "dry run: " in said.out


def test_a_broken_plugin_that_is_needed_is_named(broken_plugin, project, capsys):
    override = "model.backbone.type=Broken"
    assert tiny.tool("train", "configs/tiny.yaml", "--set", override) == 1
    message = capsys.readouterr().err
    tiny.assert_says(
        message,
        f"error: --set {override}: model.backbone.type: unknown backbone 'Broken'",
        "plugins that failed to import, any of which may define it:",
        "    plugins/broken.py:2: SyntaxError: invalid syntax",
        "        def y(:",
    )
