"""tools/deploy with ONNX Runtime and OpenVINO: they find what Python finds, by the same program."""

import json

import mxnet as mx
import pytest

from detkit.data import Resize
from detkit.detector import Detector
from detkit.export.check import TOLERANCE, compare, run_program
from detkit.export.onnx import save
from support import deploy, tiny
from support.deploy import CLASSES, NEEDED, SHAPES, built, run

pytestmark = NEEDED
ONNX = "model.onnx"
NAMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
LIKES = ("torchvision", "detectron2", "gluoncv")  # the kinds below have detkit's own rule, too


@pytest.fixture(scope="module", params=NAMES)
def backend(request):
    return request.param


@pytest.fixture(scope="module")
def build(backend, tmp_path_factory):
    """The folder of the program of a back end."""
    folder = tmp_path_factory.mktemp(backend)
    deploy.build(folder, *deploy.backend_options(backend))
    return folder


@pytest.fixture
def folder(folder, detector):
    """The exported detector, with its model.onnx."""
    save(detector, folder / ONNX)
    return folder


def assert_agrees(build, folder, images, detector, tolerance=TOLERANCE):
    expected = [detector.detect(image, score=0) for image in images]
    assert all(len(each.boxes) for each in expected)
    found = run_program(build / "detect", folder, images, CLASSES)
    difference = compare(expected, found)
    assert not difference.exceeds(tolerance), difference


def test_every_kind(build, folder, images, detector):
    assert_agrees(build, folder, images[0], detector)


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
@pytest.mark.parametrize("like", LIKES)
def test_every_resize_rule(build, folder, images, detector, like):
    rule = Detector(detector.model, CLASSES, [Resize(96, 160, like=like)], mx.cpu(), 32)
    manifest = json.loads((folder / "model.json").read_text())
    manifest["resize"]["like"] = like
    (folder / "model.json").write_text(json.dumps(manifest))
    # Python's OpenCV may have Intel's bicubic, of which one pixel in 25 differs by 1 of 255.
    tolerance = TOLERANCE._replace(boxes=0.1, scores=1e-3) if like == "gluoncv" else TOLERANCE
    assert_agrees(build, folder, images[0], rule, tolerance)


@pytest.mark.parametrize("detector", ["MaskRCNN"], indirect=True)
def test_batches_and_threads(folder, images, detect):
    paths = images[1] * 3
    alone = detect(folder, *paths, "--score", 0)
    assert [one["path"] for one in alone] == list(map(str, paths))
    assert [(one["height"], one["width"]) for one in alone] == SHAPES * 3
    assert detect(folder, *paths, "--score", 0, "--threads", 3) == alone
    together = detect(folder, *paths, "--score", 0, "--batch", 3)
    counts = [len(one["detections"]) for one in alone]
    assert [len(one["detections"]) for one in together] == counts


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_model_json_and_model_onnx_are_enough(build, folder, images, detect, tmp_path):
    """The installed program needs no other folder, and an exported folder no other file."""
    built("cmake", "--install", build, "--prefix", tmp_path / "ship")
    (tmp_path / "two").mkdir()
    for name in ("model.json", ONNX):
        (folder / name).rename(tmp_path / "two" / name)
    program, words = tmp_path / "ship" / "detect", [tmp_path / "two", images[1][0], "--score", 0]
    log = run(program, *words, env={"LD_DEBUG": "libs"}).stderr.decode()
    assert "/ship/lib" in log
    assert not [line for line in log.splitlines() if "calling init" in line and "-packages" in line]
    assert detect(*words, program=program, env={}) == detect(*words)


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_bad_folders(backend, build, folder, images, refused):
    whole, place = (folder / ONNX).read_bytes(), f"detect: {folder}/{ONNX}: "
    for damaged in (whole[:-1000], b"no network", b""):
        (folder / ONNX).write_bytes(damaged)
        tiny.assert_says(refused(folder, images[1][0]), place, NAMES[backend], "cannot load it")
    (folder / ONNX).unlink()
    tiny.assert_says(refused(folder, images[1][0]), place, "readable file", "export --onnx")
    (folder / ONNX).write_bytes(whole)
    manifest = json.loads((folder / "model.json").read_text())
    manifest["inputs"].append("scales")
    (folder / "model.json").write_text(json.dumps(manifest))
    tiny.assert_says(refused(folder, images[1][0]), place, "inputs: expected", "images, scales")
    manifest["inputs"].pop()
    manifest["files"][ONNX] = "0" * 64
    (folder / "model.json").write_text(json.dumps(manifest))
    tiny.assert_says(refused(folder, images[1][0]), place, "SHA-256 000000000000")


def test_help_names_the_back_end(backend, build):
    assert NAMES[backend] in run(build / "detect", "--help").stdout.decode()
