"""tools/deploy for Windows: the cross-compiled program finds under Wine what Python finds here."""

import os

import numpy as np
import pytest

from detkit.export.onnx import save
from support import deploy, tiny, windows
from support.deploy import built, run, write_ppm

TOOLCHAIN = "-DCMAKE_TOOLCHAIN_FILE=mingw.cmake"
VARIABLE = "ONNXRUNTIME_ROOT_WINDOWS"

pytestmark = [*deploy.NEEDED, windows.NEEDED]
one_kind = pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """The folder of a script that runs the installed program."""
    if VARIABLE not in os.environ:
        pytest.skip(f"needs ONNX Runtime for Windows; {VARIABLE} may be its ONNXRUNTIME_ROOT")
    folder = tmp_path_factory.mktemp("windows")
    options = "-DDETKIT_BACKEND=onnxruntime", f"-DONNXRUNTIME_ROOT={os.environ[VARIABLE]}"
    ship = deploy.installed(folder, TOOLCHAIN, *options)
    (folder / "dxcore.cpp").write_text(windows.DXCORE)
    library = ship / "dxcore.dll"
    built(windows.COMPILER, "-shared", "-static", folder / "dxcore.cpp", "-o", library)
    windows.write_script(folder / "detect", ship / "detect.exe", folder / "wine")
    return folder


@pytest.fixture
def folder(folder, detector):
    """The exported detector, with its model.onnx."""
    save(detector, folder / "model.onnx")
    return folder


def test_every_kind(build, folder, images, detector):
    deploy.assert_detects_as_python(build / "detect", folder, images, detector)


@one_kind
def test_names_beyond_ascii_and_wildcards(build, folder, detector, tmp_path):
    """A name in UTF-16 is printed as UTF-8, and a wildcard stands for the files, sorted."""
    folder = folder.rename(tmp_path / "größe 画像")
    rng = np.random.default_rng(5)
    images = {name: rng.integers(0, 256, (64, 80, 3), dtype=np.uint8) for name in "zбé"}
    (tmp_path / "ж").mkdir()
    for name, image in images.items():
        write_ppm(tmp_path / "ж" / f"{name}.ppm", image)
    (tmp_path / "ж" / "no image.txt").touch()
    words = folder, tmp_path / "ж" / "?.ppm", "--score", 0, "--json", "--draw", tmp_path / "é"
    done = run(build / "detect", *words)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\r" not in done.stdout and done.stdout.count(b"\n") == 3
    places = [place for place in done.stdout.decode().split('"') if place.endswith(".ppm")]
    assert places == [f"{tmp_path}/ж/{name}.ppm" for name in sorted(images)]
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "é").iterdir()}
    assert sorted(drawn) == [f"{name}.ppm" for name in sorted(images)]
    for name, image in images.items():
        header, pixels = drawn[f"{name}.ppm"].split(b"\n255\n", 1)
        assert (header, len(pixels)) == (b"P6\n80 64", image.size) and pixels != image.tobytes()


@one_kind
def test_missing_and_damaged_files_are_named(folder, images, tmp_path, refused):
    missing = tmp_path / "é" / "1.ppm"
    tiny.assert_says(refused(folder, missing), f"detect: {missing}: No such file or directory")
    unmatched = tmp_path / "é*.ppm"
    tiny.assert_says(refused(folder, unmatched), f"detect: {unmatched}: ")
    tiny.assert_says(refused(folder, tmp_path), "expected an image, found a folder")
    (folder / "model.onnx").write_bytes(b"no network")
    place = f"detect: {folder}/model.onnx: ONNX Runtime cannot load it"
    tiny.assert_says(refused(folder, images[1][0]), place)
    (folder / "model.onnx").unlink()
    place = f"detect: {folder}/model.onnx: expected a readable file"
    tiny.assert_says(refused(folder, images[1][0]), place)


def test_it_needs_no_files_of_the_compiler(build):
    program = (build / "ship" / "detect.exe").read_bytes()
    assert program[:2] == b"MZ" and b"onnxruntime.dll\0" in program
    for library in (b"libstdc++-6.dll", b"libgcc_s_seh-1.dll", b"libwinpthread-1.dll"):
        assert library not in program


def test_a_package_of_this_machine_is_not_taken(tmp_path):
    options = TOOLCHAIN, "-DDETKIT_BACKEND=onnxruntime"
    done = run("cmake", "-S", deploy.SOURCES, "-B", tmp_path, *options)
    assert done.returncode
    assert "'ONNXRUNTIME_LIBRARY-NOTFOUND'" in " ".join(done.stderr.decode().split())
