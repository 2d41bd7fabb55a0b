"""A Fast R-CNN as files: it takes its proposals with the image, in Python and in ONNX."""

import json
import shutil
import subprocess

import cv2
import mxnet as mx
import numpy as np
import pytest

import detkit
from detkit.detections.proposal_files import save_proposals
from detkit.errors import DataError
from detkit.export.check import build_program
from detkit.export.manifest import MANIFEST, SYMBOL
from detkit.models import FastRCNN
from support import tiny
from support.environment import BACKENDS
from support.exports import assert_same, exported, photos
from support.onnx_runs import ONNX
from support.projects import FAST_RCNN, RPN

SIZES = (64, 80), (50, 96)


@pytest.fixture
def model(small_model):
    whole = small_model()
    return FastRCNN(**{name: getattr(whole, name) for name in FastRCNN.PARTS})


def boxes_in(images, seed=0):
    """Some boxes (R, 4) in each image, 7 in the first, 12 in the second."""
    rng, found = np.random.default_rng(seed), []
    for count, image in zip((7, 12), images):
        height, width = image.shape[:2]
        corner = rng.uniform(0, [width / 2, height / 2], (count, 2))
        found.append(np.concatenate([corner, corner + rng.uniform(8, 30, (count, 2))], axis=1))
    return found


@pytest.mark.parametrize("ops", BACKENDS)
def test_it_finds_what_the_detector_finds(model, tmp_path, ops):
    detector = exported(model, tmp_path, ops)
    loaded, images = detkit.load_exported(tmp_path), photos(*SIZES)
    given = boxes_in(images)
    assert loaded.takes_proposals
    assert_same(loaded.detect(images, given), detector.detect(images, given))
    alone = loaded.detect(images[0], given[0])
    assert_same([alone], [detector.detect(images[0], given[0])])


def test_the_manifest_names_its_inputs(model, tmp_path):
    exported(model, tmp_path)
    content = json.loads((tmp_path / MANIFEST).read_text())
    assert content["inputs"] == ["images", "sizes", "proposals", "proposal_scores"]
    assert content["outputs"][0] == {"name": "boxes", "shape": ["B", 12, 4]}
    assert set(content["inputs"]) < set(mx.sym.load(str(tmp_path / SYMBOL)).list_inputs())


def test_proposals_that_are_missing_or_not_wanted(model, small_model, tmp_path):
    exported(model, tmp_path / "fast")
    exported(small_model(), tmp_path / "faster")
    fast, faster = (detkit.load_exported(tmp_path / name) for name in ("fast", "faster"))
    images = photos(*SIZES)
    with pytest.raises(DataError, match="proposals: .*2.*none"):
        fast.detect(images)
    with pytest.raises(DataError, match="proposals: .*own proposals"):
        faster.detect(images, boxes_in(images))
    assert not faster.takes_proposals


@pytest.mark.skipif(not shutil.which("cmake"), reason="there is no cmake")
def test_the_cpp_program_refuses_it(model, tmp_path):
    exported(model, tmp_path / "fast")
    program = build_program(tiny.ROOT / "tools/deploy", tmp_path / "build")
    (tmp_path / "a.ppm").write_bytes(b"P6 2 2 255\n" + bytes(12))
    words = [program, tmp_path / "fast", tmp_path / "a.ppm"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"detect: {tmp_path / 'fast' / MANIFEST}: inputs has proposals" in done.stderr
    assert "detkit.load_exported" in done.stderr


# --- the tools ------------------------------------------------------------------------------------


class Pictures:
    """A dataset of one class, the images of which are files of these names."""

    class_names = ("object",)

    def __init__(self, names):
        self._names = names

    def __len__(self):
        return len(self._names)

    def annotation(self, index):
        nothing = np.zeros((0, 4), "float32"), np.zeros(0, "int32"), np.zeros(0, bool)
        return detkit.data.Annotation(self._names[index], 64, 64, *nothing)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a trained Fast R-CNN, whose proposals an RPN made."""
    folder = tmp_path_factory.mktemp("trained")
    config = tiny.project(folder)
    assert tiny.train(config, folder / "rpn", *RPN) == 0
    last, overrides = folder / "rpn/checkpoints/step-00000006", []
    for split in ("train", "val"):
        out = folder / f"{split}.npz"
        words = (folder / "rpn/config.yaml", last, "--split", split, "--out", out)
        assert tiny.tool("test", *words) == 0
        overrides.append(f"data.{split}_proposals={{path: {out}}}")
    work = folder / "fast"
    assert tiny.train(config, work, *FAST_RCNN, *overrides) == 0
    return work


@pytest.fixture
def pictures(tmp_path):
    """A folder of two images, and the file of their proposals."""
    dataset = Pictures([139, "street"])
    images = photos((64, 64), (64, 64))
    found = {}
    for name, image, boxes in zip(("000000000139", "street"), images, boxes_in(images)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
        image_id = dataset.annotation(len(found)).image_id
        scores, labels = np.linspace(1, 0.5, len(boxes)), np.zeros(len(boxes), "int32")
        arrays = boxes.astype("float32"), scores.astype("float32"), labels
        found[image_id] = detkit.Detections(*arrays, dataset.class_names)
    save_proposals(tmp_path / "given.npz", found, dataset)
    return tmp_path


def arguments(trained, *words):
    return trained / "config.yaml", trained / "checkpoints/best", *words


def test_demo_takes_a_file_of_proposals(trained, pictures, capsys):
    out, given = pictures / "drawn", pictures / "given.npz"
    words = arguments(trained, pictures, "--out", out, "--score", 0.001, "--proposals", given)
    assert tiny.tool("demo", *words) == 0
    assert sorted(path.name for path in out.iterdir()) == ["000000000139.png", "street.png"]
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2 and not any(line.endswith(": nothing") for line in printed)


def test_demo_says_what_is_wrong_with_the_proposals(trained, finished, pictures, capsys):
    words = arguments(trained, pictures, "--out", pictures / "drawn")
    message = tiny.refused(capsys, "demo", *words)
    tiny.assert_says(message, "a FastRCNN", "none", "--proposals FILE")
    message = tiny.refused(capsys, "demo", *words, "--proposals", "found.json")
    tiny.assert_says(message, "--proposals", "found.json", ".npz")
    cv2.imwrite(str(pictures / "strete.png"), np.zeros((9, 9, 3), "uint8"))
    message = tiny.refused(capsys, "demo", *words, "--proposals", pictures / "given.npz")
    tiny.assert_says(message, "given.npz", "strete.png", "did you mean 'street'?")
    own = finished / "configs/tiny.yaml", finished / "work/checkpoints/best", pictures
    message = tiny.refused(
        capsys, "demo", *own, "--out", pictures / "drawn", "--proposals", pictures / "given.npz"
    )
    tiny.assert_says(message, "a FasterRCNN", "given.npz")
    assert not (pictures / "drawn").exists()


def test_export_compares_with_proposals_and_calibrates_with_the_trainings(
    trained, pictures, capsys
):
    photo, given = pictures / "street.png", pictures / "given.npz"
    words = ("--check", photo, "--proposals", given, "--ops", "mxnet")
    floor = "model.postprocess.score_floor=0"
    out = pictures / "out"
    assert tiny.tool("export", *arguments(trained, "--out", out, *words, "--set", floor)) == 0
    printed = capsys.readouterr().out
    tiny.assert_says(printed, f"written: {out / SYMBOL}", "C++: not compared", "symbol   boxes")
    assert tiny.tool("test", trained / "config.yaml", out) == 0
    assert "AP50" in capsys.readouterr().out
    int8 = ("--int8", "--calib", 2, "--keep", "first")
    assert tiny.tool("export", *arguments(trained, "--out", pictures / "int8", *int8)) == 0
    assert "model-0000.params" in capsys.readouterr().out
    message = tiny.refused(capsys, "export", *arguments(trained, "--out", out, "--check", photo))
    tiny.assert_says(message, "a FastRCNN", "none", "--proposals FILE")


@ONNX
def test_export_compares_onnx_with_proposals(trained, pictures, capsys):
    photo, given = pictures / "street.png", pictures / "given.npz"
    words = ("--check", photo, "--proposals", given, "--onnx", "--int8", "--calib", 2)
    assert tiny.tool("export", *arguments(trained, "--out", pictures / "out", *words)) == 0
    tiny.assert_says(capsys.readouterr().out, "model.onnx", "model-int8.onnx", "  ONNX")
