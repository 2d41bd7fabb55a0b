"""The C++ program of tools/deploy in tests: what it needs, and how it is run."""

import functools
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import mxnet as mx
import pytest

from detkit.export.check import TOLERANCE, compare, run_program
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


JPEG_PNG = "#include <cstdio>\n#include <jpeglib.h>\n#include <png.h>\nint main() {}"


@functools.lru_cache(maxsize=None)
def has_jpeg_png():
    """Whether the program can be built with libjpeg and libpng."""
    if not shutil.which("c++"):
        return False
    words = ["c++", "-x", "c++", "-", "-ljpeg", "-lpng", "-o", os.devnull]
    return subprocess.run(words, input=JPEG_PNG.encode(), capture_output=True).returncode == 0


def run(*words, **options):
    words = list(map(str, words))
    return subprocess.run(words, capture_output=True, timeout=600, **options)


def built(*words):
    done = run(*words)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert b"warning" not in done.stdout + done.stderr
    return done


def build(folder, *options):
    """Builds the C++ program by CMake, without OpenCV; options of CMake choose the back end."""
    options = options or (f"-DMXNET_DIR={MXNET}",)
    built("cmake", "-S", SOURCES, "-B", folder, "-DCMAKE_DISABLE_FIND_PACKAGE_OpenCV=ON", *options)
    built("cmake", "--build", folder, "--parallel", "2")


def installed(folder, *options):
    """Builds the program for another system and installs it; returns the installed folder."""
    build(folder / "build", *options)
    built("cmake", "--install", folder / "build", "--prefix", folder / "ship")
    return folder / "ship"


def assert_detects_as_python(program, folder, images, detector):
    """A program finds in images, arrays with their files, what the Detector finds."""
    arrays, _ = images
    expected = [detector.detect(array, score=0) for array in arrays]
    assert all(len(each.boxes) for each in expected)
    difference = compare(expected, run_program(program, folder, arrays, CLASSES))
    assert not difference.exceeds(TOLERANCE), difference


def backend_options(backend):
    """The options of CMake for a back end; skips the test if its library is not here.

    The library is that of the Python package. The package of ONNX Runtime has no headers: they are
    those of Debian's libonnxruntime-dev, or of the release archive that ONNXRUNTIME_ROOT names.
    """
    if not importlib.util.find_spec(backend):
        pytest.skip(f"needs {backend}")
    options = [f"-DDETKIT_BACKEND={backend}"]
    if backend == "onnxruntime":
        root = os.environ.get("ONNXRUNTIME_ROOT", "/usr")
        if not any(Path(root).glob("include/**/onnxruntime_cxx_api.h")):
            pytest.skip("needs the headers of ONNX Runtime; ONNXRUNTIME_ROOT may name their folder")
        options.append(f"-DONNXRUNTIME_ROOT={root}")
    return options


def write_ppm(path, array):
    height, width = array.shape[:2]
    path.write_bytes(b"P6\n%d %d\n255\n" % (width, height) + array.tobytes())
