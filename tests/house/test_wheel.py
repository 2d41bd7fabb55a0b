"""The wheel is enough: built, unpacked, and used where no checkout can be seen."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from detkit.files.disk import cache_folder
from support import tiny

FOLDERS = ("detkit", "configs", "tools/deploy")  # of a wheel
FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
NO_WHEEL = not importlib.util.find_spec("wheel")
SMALL = ("data.train.length=4", "data.val.length=2", "train.batch_size=2", "train.epochs=1")
SCRATCH = ("model.backbone.pretrained=null", *SMALL)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NO_WHEEL, reason="needs the package wheel, with which setuptools packs"),
]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The folder of an unpacked wheel, and the names in it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in FILES:
        shutil.copy(tiny.ROOT / name, source)
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__", "prebuilt")
        shutil.copytree(tiny.ROOT / name, source / name, ignore=ignored)
    code = f"import setuptools.build_meta as meta; meta.build_wheel({str(out)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(source)
    (wheel,) = out.glob("detkit_gluon-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
        return out / "site", archive.namelist()


@pytest.fixture(scope="module")
def detkit(unpacked, tmp_path_factory):
    """A function that runs ``python -m detkit`` in a folder of its own, and what it printed."""
    empty = tmp_path_factory.mktemp("empty")
    cache = tmp_path_factory.mktemp("cache")  # for the program; the operators are shared
    (cache / "ops").symlink_to(cache_folder("ops"))
    environment = {**os.environ, "PYTHONPATH": str(unpacked[0]), "DETKIT_CACHE": str(cache)}
    environment["CMAKE_BUILD_TYPE"] = "None"  # other tests build the program as it is shipped

    def detkit(*words):
        done = subprocess.run(
            [sys.executable, "-m", "detkit", *map(str, words)],
            cwd=empty,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    detkit.folder = empty
    return detkit


def test_it_has_what_git_has(unpacked):
    _, names = unpacked
    for folder, inside, pattern in (
        ("configs", "configs", "**/*.yaml"),
        ("tools/deploy", "deploy", "*.?pp"),
        ("tools/deploy", "deploy", "CMakeLists.txt"),
        ("tools/deploy", "deploy", "*.cmake"),
    ):
        expected = {
            f"detkit/shipped/{inside}/{path.relative_to(tiny.ROOT / folder).as_posix()}"
            for path in (tiny.ROOT / folder).glob(pattern)
        }
        assert expected
        assert expected <= set(names)
    assert "detkit/ops/native/kernels.h" in names
    assert not [name for name in names if name.startswith(("tests", "tools", "configs", "plugins"))]


def test_it_lists_trains_and_exports_without_the_checkout(detkit, unpacked):
    assert str(unpacked[0] / "detkit") in detkit("doctor")
    assert "  faster_rcnn_vgg16  " in detkit("configs")
    assert "  MobileNetV2(" in detkit("list", "backbone")
    detkit("train", "faster_rcnn_mobilenet_v2", "--work-dir", "run", "--set", *SCRATCH)
    photo = detkit.folder / "photo.png"
    cv2.imwrite(str(photo), np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8))
    best = "run/checkpoints/best"
    words = ("export", "run/config.yaml", best, "--out", "exported", "--check", photo)
    printed = detkit(*words)
    assert "  symbol   boxes 0 px" in printed
    assert ("  C++      boxes" in printed) == bool(shutil.which("cmake"))


def test_the_sources_of_the_program_are_named(detkit, unpacked):
    sources = Path(detkit("doctor", "--sources").strip())
    assert sources == unpacked[0] / "detkit/shipped/deploy"
    assert (sources / "CMakeLists.txt").is_file()
