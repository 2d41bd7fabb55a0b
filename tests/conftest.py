"""What the tests share: small networks, a place for data from outside, hypothesis's settings."""

import os

# Before MXNet, which reads it once, and for the processes that the tests start as well: another
# number of threads adds up in another order. One, because the arrays are small: on a machine that
# has other work, or in a program of several threads, two would mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import detkit  # noqa: E402, F401, I001 - before MXNet as well, for DETKIT_ISA

import functools  # noqa: E402
import gc
import shutil
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
import tiny
from hypothesis import settings
from mxnet.gluon import HybridBlock, nn

from detkit.models import (
    AnchorGrid,
    FasterRCNN,
    Normalize,
    Postprocess,
    Proposals,
    RoIAlign,
    RPNHead,
)
from detkit.models.roi_heads import FCHead
from detkit import processor
from detkit.ops import backend

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"

# Every operator is tested as MXNet's and as detkit's own; without a compiler the second is skipped.
OPERATORS = backend.choose()
BACKENDS = [
    "mxnet",
    pytest.param(
        "native",
        marks=pytest.mark.skipif(
            OPERATORS.name != "native", reason=f"no native operators: {OPERATORS.reason}"
        ),
    ),
]


def pytest_terminal_summary(terminalreporter):
    """Says at the end, in every run, which operators were tested and on what."""
    terminalreporter.write_line(f"processor: {processor.describe()}")
    terminalreporter.write_line(f"operators: {OPERATORS.name} ({OPERATORS.reason})")
    if OPERATORS.name != "native":
        terminalreporter.write_line("the tests of detkit's own operators were skipped")


def pytest_collection_finish():
    """What is there by now stays, and the collections after each test need not look at it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def what_a_file_leaves():
    """Libraries that its tests imported, and caches: they stay as well."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left():
    """A network is made of circles: without this, those of many tests are in memory at once."""
    yield
    gc.collect()


# The same examples on every machine: a test that fails, fails for everybody.
settings.register_profile("detkit", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("detkit")


class SmallBackbone(HybridBlock):
    """Three convolutions: 8 channels, stride 8."""

    channels = (8,)
    strides = (8,)

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            for before in (3, 8, 8):
                self.features.add(
                    nn.Conv2D(8, 3, strides=2, padding=1, in_channels=before, activation="relu")
                )

    def hybrid_forward(self, F, images):
        """images (B, 3, H, W) -> a list of one map (B, 8, H / 8, W / 8)."""
        return [self.features(images)]


@pytest.fixture(scope="session")
def built_library():
    """The path of detkit's compiled operators."""
    if OPERATORS.name != "native":
        pytest.skip(f"no native operators: {OPERATORS.reason}")
    return OPERATORS.reason


@pytest.fixture
def small_model():
    """A function that builds a FasterRCNN, or a ``kind``, of 3 classes; arguments replace parts."""
    return _build


def _build(seed=0, class_agnostic=False, kind=FasterRCNN, **parts):
    backbone = parts.pop("backbone", None) or SmallBackbone()
    channels, strides = backbone.channels[0], backbone.strides[:1]  # of the first map
    anchors = AnchorGrid(strides, sizes=(12, 24), ratios=(0.25, 1, 4))
    roi_extractor = RoIAlign(strides, channels, size=3)
    defaults = {
        "normalize": Normalize(),
        "backbone": backbone,
        "anchors": anchors,
        "rpn_head": RPNHead(channels, anchors.per_cell, channels=8),
        "proposals": Proposals(pre_nms=200, post_nms=20, min_size=2),
        "roi_extractor": roi_extractor,
        "roi_head": FCHead(
            channels,
            roi_extractor.size,
            num_classes=3,
            hidden=[16],
            dropout=0,
            class_agnostic=class_agnostic,
        ),
        "postprocess": Postprocess(score_floor=0.2, max_detections=12),
    }
    defaults = {name: part for name, part in defaults.items() if name in kind.PARTS}
    model = kind(**{**defaults, **parts})
    model.initialize()
    _randomise(model, seed)
    return model


def _randomise(model, seed):
    """Weights by numpy's generator, the same on every machine, and large enough to matter."""
    rng = np.random.default_rng(seed)
    for name, parameter in model._collect_params_with_prefix().items():
        if parameter.grad_req != "null":
            fan_in = max(np.prod(parameter.shape[1:]), 1)
            scale = 0.1 if name.endswith("bias") else (2 / fan_in) ** 0.5
            parameter.set_data(mx.nd.array(rng.normal(0, scale, parameter.shape)))


@pytest.fixture
def images():
    """A function: B images of the given (h, w), padded: (B, 3, H, W) and sizes (B, 2), numpy."""
    return _images


def _images(*sizes, canvas=None, seed=0, padding=0.0):
    rng = np.random.default_rng(seed)
    canvas = canvas or tuple(np.max(sizes, axis=0))
    pixels = np.full((len(sizes), 3, *canvas), padding, "float32")
    for row, (h, w) in enumerate(sizes):
        pixels[row, :, :h, :w] = rng.uniform(0, 255, (3, h, w))
    return pixels, np.array(sizes, "float32")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The tiny config, in a project of its own."""
    return tiny.project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def reference(config, tmp_path_factory):
    """The folder of two epochs, three steps each, without interruption."""
    folder = tmp_path_factory.mktemp("reference")
    assert tiny.train(config, folder) == 0
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project with a finished run in work/."""
    return tiny.finished_project(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def project(finished, tmp_path, monkeypatch):
    """A copy of it, as the current folder; the config is configs/tiny.yaml."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(finished, tmp_path, symlinks=True, dirs_exist_ok=True)


@pytest.fixture
def refused(project, capsys):
    """Runs a tool that must fail in ``project``; its message."""
    return functools.partial(tiny.refused, capsys)
