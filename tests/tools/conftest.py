"""The C++ program of tools/deploy, exported detectors and images for it; workers of peers."""

import importlib.util
import json
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest

from benchmark.worker_environment import worker_environment
from detkit.data import Resize
from detkit.detector import Detector
from detkit.export.symbol import export
from detkit.models import Proposals
from detkit.ops import backend
from support.deploy import CLASSES, SHAPES, run, write_ppm
from support.exports import KINDS


@pytest.fixture(params=["FasterRCNN", "MaskRCNN", "KeypointRCNN", "with scales"])
def detector(request, small_model):
    if request.param == "with scales":
        model = small_model(proposals=Proposals(200, 20, min_size=12, min_size_of="image"))
    else:
        model = KINDS[request.param](small_model)
    return Detector(model, CLASSES, [Resize(96, 160)], mx.cpu(), pad_multiple=32)


@pytest.fixture
def folder(detector, tmp_path):
    """An exported detector."""
    export(detector, str(tmp_path / "exported"), ops=backend.choose().name)
    return tmp_path / "exported"


@pytest.fixture
def plain_folder(detector, tmp_path):
    """An exported detector of MXNet's own operators."""
    export(detector, str(tmp_path / "plain"), ops=backend.MXNET)
    return tmp_path / "plain"


@pytest.fixture
def images(tmp_path):
    """Some images, and the names of their files."""
    rng = np.random.default_rng(3)
    arrays = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in SHAPES]
    paths = [tmp_path / f"{number}.ppm" for number in range(len(arrays))]
    for array, path in zip(arrays, paths):
        write_ppm(path, array)
    return arrays, paths


@pytest.fixture
def detect(build):
    """Runs the program; what it printed."""

    def detect(*words, program=build / "detect", **options):
        done = run(program, *words, **options)
        assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
        return [json.loads(line) for line in done.stdout.splitlines()]

    return detect


@pytest.fixture
def refused(build):
    """Runs the program, which must fail; its message."""

    def refused(*words):
        done = run(build / "detect", *words)
        assert (done.returncode, done.stdout) == (1, b"")
        message = done.stderr.decode()
        assert message.startswith("detect: ") and message.count("\n") == 1
        return message

    return refused


@pytest.fixture
def needs_no_detkit():
    """Imports a worker where there is no detkit; skipped if there is no package of its peer."""

    def import_worker(peer, module):
        if not importlib.util.find_spec(peer):
            pytest.skip(f"needs {peer}")
        numpy_version = tuple(map(int, np.__version__.split(".")[:2]))
        if peer == "gluoncv" and numpy_version >= (1, 24):
            pytest.skip("GluonCV without detkit needs numpy<1.24")
        code = f"import sys; sys.modules['detkit'] = None; import {module}"
        done = subprocess.run(
            [sys.executable, "-c", code], env=worker_environment(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    return import_worker
