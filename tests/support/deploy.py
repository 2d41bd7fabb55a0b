"""The C++ program of tools/deploy in tests: what it needs, and how it is run."""

import shutil
import subprocess
from pathlib import Path

import mxnet as mx
import pytest

from detkit.processor import ONEDNN_VARIABLE, VARIABLE

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "tools" / "deploy"
CLASSES = ["cell", 'größe "x"', "plättchen"]
SHAPES = [(64, 80), (50, 90), (120, 77), (200, 300)]
MXNET = Path(mx.__file__).parent
LIMITS = (VARIABLE, ONEDNN_VARIABLE)  # of another level, the last bits would be others
NEEDED = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("cmake"), reason="there is no cmake"),
    pytest.mark.skipif(not shutil.which("c++"), reason="there is no C++ compiler"),
]


def run(*words, **options):
    words = list(map(str, words))
    return subprocess.run(words, capture_output=True, timeout=600, **options)


def built(*words):
    done = run(*words)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert b"warning" not in done.stdout + done.stderr
    return done


def build(folder):
    """Builds the C++ program by CMake, without OpenCV."""
    options = [f"-DMXNET_DIR={MXNET}", "-DCMAKE_DISABLE_FIND_PACKAGE_OpenCV=ON"]
    built("cmake", "-S", SOURCES, "-B", folder, *options)
    built("cmake", "--build", folder, "--parallel", "2")


def write_ppm(path, array):
    height, width = array.shape[:2]
    path.write_bytes(b"P6\n%d %d\n255\n" % (width, height) + array.tobytes())
