"""A detector that trains in a second, and the tools as functions, for tests of the whole."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from detkit import cli
from detkit.build import build_dataset
from detkit.checkpoints import folder_of, load_checkpoint
from detkit.config import load_config
from detkit.files.disk import sha256_of

ROOT = Path(__file__).resolve().parents[2]

PLUGIN = '''
import os
import random
import signal
from typing import Sequence

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock, nn

from detkit.registry import BACKBONES, EVALUATORS, HOOKS
from detkit.runner.hooks import Hook


@BACKBONES.register(force=True)
class TinyBackbone(HybridBlock):
    """Three convolutions of stride 2 with batch norm: 16 channels, stride 8."""

    channels, strides = (16,), (8,)

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            for before in (3, 16, 16):
                self.features.add(nn.Conv2D(16, 3, 2, 1, in_channels=before))
                self.features.add(nn.BatchNorm(in_channels=16))
                self.features.add(nn.Activation("relu"))

    def hybrid_forward(self, F, images):
        return [self.features(images)]


@HOOKS.register(force=True)
class SignalAt(Hook):
    """Sends this process a signal, once or twice, after a step."""

    def __init__(self, step: int, name: str = "SIGTERM", times: int = 1):
        self.step, self.number, self.times = step, getattr(signal, name), times

    def after_step(self, run):
        if run.progress.step == self.step:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)


@HOOKS.register(force=True)
class DieWhileSaving(Hook):
    """SIGKILL instead of the n-th call of mx.nd.save or os.rename, which save checkpoints."""

    def __init__(self, function: str, call: int):
        self.module, _, self.function = function.rpartition(".")
        self.module = {"mx.nd": mx.nd, "os": os}[self.module]
        self.genuine, self.calls_left = getattr(self.module, self.function), call

    def start(self, run):
        setattr(self.module, self.function, self.replacement)

    def replacement(self, *args):
        self.calls_left -= 1
        if not self.calls_left:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.genuine(*args)


@HOOKS.register(force=True)
class Spoil(Hook):
    """Makes a weight infinite before or after a step."""

    def __init__(self, step: int, after: bool = False):
        self.step, self.after = step, after

    def before_step(self, run):
        if not self.after and run.progress.step + 1 == self.step:
            self.spoil(run)

    def after_step(self, run):
        if self.after and run.progress.step == self.step:
            self.spoil(run)

    def spoil(self, run):
        run.train_step.model.rpn_head.objectness.weight.data()[:] = float("inf")


@HOOKS.register(force=True)
class Draw(Hook):
    """Draws from the global generators before each step, as a plugin's augmentation may."""

    def before_step(self, run):
        random.random()
        np.random.normal()


@HOOKS.register(force=True)
class StopAfter(Hook):
    """Stops a run after a step, as early stopping does."""

    def __init__(self, step: int):
        self.step = step

    def after_step(self, run):
        run.stopping = run.progress.step == self.step


@EVALUATORS.register(force=True)
class Scripted:
    """Finds the AP50 it is told to find, one after the other."""

    def __init__(self, scores: Sequence[float]):
        self.scores = list(scores)

    def __call__(self, dataset, detections):
        score = self.scores.pop(0)
        return {"AP": score, "AP50": score, "per_class": dict.fromkeys(dataset.class_names, score)}
'''

CONFIG = """
seed: 3

model:
  type: FasterRCNN
  backbone: {type: TinyBackbone}
  anchors: {type: AnchorGrid, sizes: [12, 24], ratios: [1]}
  rpn_head: {type: RPNHead, channels: 16}
  proposals: {pre_nms: 100, post_nms: 16, min_size: 4}
  roi_extractor: {type: RoIAlign, size: 3}
  roi_head: {type: FCHead, hidden: [16], dropout: 0.5}

train_step:
  rpn_targets:
    assigner: {type: MaxIoUAssigner}
    sampler: {type: RandomSampler, size: 16}
    straddle: null
  proposals: {pre_nms: 100, post_nms: 16, min_size: 4}
  roi_targets:
    assigner: {type: MaxIoUAssigner, pos_iou: 0.5, neg_iou: 0.5, best_for_object: false}
    sampler: {type: RandomSampler, size: 8, positive_share: 0.25}
  rpn_loss:
    box: {type: SmoothL1}
  roi_loss:
    box: {type: SmoothL1}

data:
  train: {type: Shapes, length: 12, size: [64, 64], seed: 1}
  val: {type: Shapes, length: 4, size: [64, 64], seed: 2}
  train_transforms: [{type: HorizontalFlip}]
  val_transforms: []
  workers: 0

train:
  epochs: 2
  batch_size: 4
  lr: 0.01
  schedule: {type: StepSchedule, drops: [1], warmup_steps: 2}
  log_every: 2
  pictures: 2

evaluate: {type: VOCEvaluator}
"""


def project(folder):
    """Write a plugin and a config that trains for six steps; the config's path."""
    for name, text in (("plugins/tiny.py", PLUGIN), ("configs/tiny.yaml", CONFIG)):
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Path(folder, "configs/tiny.yaml")


def tool(name, *arguments):
    """The exit status of a tool, run in this process."""
    return cli.run(module_of(name).main, list(map(str, arguments)))


def module_of(name):
    """The module of a file in tools/."""
    spec = importlib.util.spec_from_file_location(f"tool_{name}", ROOT / f"tools/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def spawn(name, *arguments, **options):
    """A tool in a process of its own, finished: returncode, stdout, stderr."""
    command = [sys.executable, ROOT / f"tools/{name}.py", *arguments]
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=120, **options
    )


def train(config, work_dir, *overrides, resume=None, force=False):
    """The exit status of a training in this process.

    force: a resumed run may have other hooks, or other changes, than the run before.
    """
    arguments = [config, "--work-dir", work_dir]
    arguments += ["--resume", resume] if resume else []
    arguments += ["--force"] if force and resume else []
    return tool("train", *arguments, *(["--set", *overrides] if overrides else []))


def hook(kind, **arguments):
    """An override that adds one hook of the plugin."""
    node = ", ".join([f"type: {kind}", *(f"{key}: {value}" for key, value in arguments.items())])
    return f"train.hooks=[{{{node}}}]"


def finished_project(folder):
    """As ``project``, with a run of one epoch in work/; the folder."""
    assert train(project(folder), Path(folder, "work"), "train.epochs=1") == 0
    return folder


def refused(capsys, name, *arguments):
    """The message of a tool that must fail, after checking what all messages have in common."""
    capsys.readouterr()
    status = tool(name, *arguments)
    message = capsys.readouterr().err
    assert status == 1, message
    assert "error: " in message, message
    assert "Traceback" not in message, message
    return message


def assert_says(message, *fragments):
    """Every fragment is part of the message."""
    for fragment in fragments:
        assert fragment in message, message


def validation_set(config):
    """The dataset ``data.val`` of a config."""
    return build_dataset(load_config(config), "val")


def checkpoints(work_dir):
    """The names in a run's folder of checkpoints, sorted, without the file that names the last."""
    names = {path.name for path in Path(work_dir, "checkpoints").iterdir()}
    return sorted(names - {"last"})


def best(work_dir):
    """The folder of a run's best checkpoint."""
    return Path(folder_of(str(Path(work_dir, "checkpoints/best"))))


def rewrite(checkpoint, name, data):
    """Replaces a file of a checkpoint by these bytes, and its sum by theirs."""
    file, sums = Path(checkpoint, name), Path(checkpoint, "SHA256SUMS")
    others = [line for line in sums.read_text().splitlines() if not line.endswith(f"  {name}")]
    file.write_bytes(data)
    sums.write_text("\n".join([*others, f"{sha256_of(file)}  {name}"]) + "\n")


def rewrite_state(checkpoint, state):
    """Replaces a checkpoint's state.json, and its sum."""
    rewrite(checkpoint, "state.json", json.dumps(state).encode())


def is_finite(checkpoint):
    """Whether every weight of a checkpoint is a number."""
    weights = load_checkpoint(str(checkpoint)).weights.values()
    return all(np.isfinite(array.asnumpy()).all() for array in weights)


def records(work_dir, kind):
    """The records of one kind in a run's log."""
    lines = Path(work_dir, "log.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


def assert_same_checkpoint(one, other):
    """Every bit: weights, momenta, progress, metrics, random number generators."""
    one, other = (load_checkpoint(str(path)) for path in (one, other))
    for arrays, others in ((one.weights, other.weights), (one.optimizer, other.optimizer)):
        assert arrays.keys() == others.keys()
        assert arrays
        for name, array in arrays.items():
            np.testing.assert_array_equal(array.asnumpy(), others[name].asnumpy(), name)
    for field in ("progress", "class_names", "metrics", "best"):
        np.testing.assert_equal(getattr(one, field), getattr(other, field))
