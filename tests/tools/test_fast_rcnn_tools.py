"""The tools that use a Fast R-CNN, which takes its proposals with the image: demo and export."""

import cv2
import numpy as np
import pytest

import detkit
from detkit.detections.proposal_files import save_proposals
from detkit.export.manifest import SYMBOL
from support import tiny
from support.exports import boxes_in, photos
from support.onnx_runs import ONNX
from support.projects import FAST_RCNN, RPN


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
    tiny.assert_says(message, "--proposals: ", "a FasterRCNN makes its own", "given.npz")
    assert not (pictures / "drawn").exists()


def test_a_mat_is_refused_before_anything_is_detected(trained, tmp_path, capsys):
    rpn = trained.parent / "rpn"
    words = (rpn / "config.yaml", rpn / "checkpoints/best", "--work-dir", tmp_path)
    message = tiny.refused(capsys, "test", *words, "--out", tmp_path / "found.mat")
    tiny.assert_says(message, "found.mat: expected an .npz", "only read")
    assert list(tmp_path.iterdir()) == []


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
