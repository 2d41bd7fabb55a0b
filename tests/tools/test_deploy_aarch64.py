"""tools/deploy for aarch64: the cross-compiled program finds under qemu what Python finds here."""

import os

import pytest

from detkit.export.onnx import save
from support import aarch64, deploy
from support.deploy import run

TOOLCHAIN = "-DCMAKE_TOOLCHAIN_FILE=aarch64.cmake"
# The name of each back end, and the option of CMake for its folder, which a variable names here.
BACKENDS = {
    "onnxruntime": ("ONNX Runtime", "ONNXRUNTIME_ROOT"),
    "openvino": ("OpenVINO", "OpenVINO_DIR"),
}
MACHINE = slice(18, 20)  # of a program's first bytes: the processor that it is for

pytestmark = [*deploy.NEEDED, aarch64.NEEDED]


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request):
    return request.param


@pytest.fixture(scope="module")
def build(backend, tmp_path_factory):
    """The folder of a script that runs the installed program."""
    name, option = BACKENDS[backend]
    variable = f"{option.upper()}_AARCH64"
    if variable not in os.environ:
        pytest.skip(f"needs {name} for aarch64; {variable} may be the {option} of tools/deploy")
    folder = tmp_path_factory.mktemp("aarch64")
    options = f"-DDETKIT_BACKEND={backend}", f"-D{option}={os.environ[variable]}"
    ship = deploy.installed(folder, TOOLCHAIN, *options)
    board = aarch64.board(folder / "board")
    words = " ".join(map(str, aarch64.command(ship / "detect", board)))
    (folder / "detect").write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    (folder / "detect").chmod(0o755)
    return folder


@pytest.fixture
def folder(folder, detector):
    """The exported detector, with its model.onnx."""
    save(detector, folder / "model.onnx")
    return folder


def test_every_kind(build, folder, images, detector):
    deploy.assert_detects_as_python(build / "detect", folder, images, detector)


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_a_damaged_network_is_refused(backend, folder, images, refused):
    (folder / "model.onnx").write_bytes(b"no network")
    assert f"{BACKENDS[backend][0]} cannot load it" in refused(folder, images[1][0])


def test_it_is_for_another_processor(build):
    assert (build / "ship" / "detect").read_bytes()[MACHINE] == b"\xb7\0"


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        ("mxnet", "expected MXNet's package in '', found none"),
        ("onnxruntime", "'ONNXRUNTIME_LIBRARY-NOTFOUND'"),
        ("openvino", "expected OpenVINOConfig.cmake in "),
    ],
)
def test_a_package_of_this_machine_is_not_taken(tmp_path, backend, expected):
    options = TOOLCHAIN, f"-DDETKIT_BACKEND={backend}"
    done = run("cmake", "-S", deploy.SOURCES, "-B", tmp_path, *options)
    assert done.returncode
    assert expected in " ".join(done.stderr.decode().split())
