"""detkit.load: a run, a checkpoint and an export by their folders alone, and wrong paths."""

import os
import shutil

import cv2
import numpy as np
import pytest

import detkit
from detkit.checkpoints import load_checkpoint
from detkit.config import load_config
from detkit.detector import Detector
from detkit.errors import CheckpointError, ConfigError
from detkit.export.exported import ExportedDetector
from support import tiny
from support.exports import assert_same, photos

FLOOR = "model.postprocess.score_floor=0"


@pytest.fixture(scope="module")
def run(finished):
    """A run whose detector returns more than the confident detections."""
    assert tiny.train(finished / "configs/tiny.yaml", finished / "run", FLOOR) == 0
    return finished / "run"


def last_of(run):
    """The folder of a run's last checkpoint."""
    return max(run.glob("checkpoints/step-*"))


@pytest.fixture(scope="module")
def export(finished, run, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "out"
    words = (run / "config.yaml", run / "checkpoints/best", "--out", out, "--ops", "mxnet")
    assert tiny.tool("export", *words) == 0
    return out


@pytest.fixture(scope="module")
def expected(run):
    """What the two arguments give."""
    return detkit.load(run / "config.yaml", run / "checkpoints/best").detect(photos((64, 64)))


def test_every_folder_gives_the_same_detector(run, export, expected):
    assert len(expected[0]) > 2
    for path in (run, str(run), run / "checkpoints", run / "checkpoints/best", f"{run}/"):
        detector = detkit.load(path, device="cpu")
        assert isinstance(detector, Detector)
        assert detector.detect(photos((64, 64))) == expected
    exported = detkit.load(export)
    assert isinstance(exported, ExportedDetector)
    assert_same(exported.detect(photos((64, 64))), expected)
    assert [*exported.detect(photos((64, 64)))[0].names] == [*expected[0].names]


def test_two_arguments_work_as_before(run, expected):
    config = load_config(run / "config.yaml")
    for given in (config, str(run / "config.yaml")):
        detector = detkit.load(given, str(run / "checkpoints/best"), "cpu")
        assert detector.detect(photos((64, 64))) == expected
    changed = load_config(run / "config.yaml", ["model.postprocess.max_detections=1"])
    assert len(detkit.load(changed, run / "checkpoints/best").detect(photos((64, 64))[0])) == 1


def test_without_a_best_checkpoint_it_is_the_last(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy", symlinks=True)
    steps = [path.name for path in copy.glob("checkpoints/step-*")]
    assert len(steps) == 2
    os.unlink(copy / "checkpoints/best")
    weights = load_checkpoint(str(copy / "checkpoints" / max(steps))).weights

    def is_the_last():
        found = detkit.load(copy).model._collect_params_with_prefix()
        name = "rpn_head.deltas.weight"
        return np.array_equal(found[name].data().asnumpy(), weights[name].asnumpy())

    assert is_the_last()
    os.unlink(copy / "checkpoints/last")
    assert is_the_last()


def refused(path, *fragments, error=CheckpointError):
    with pytest.raises(error) as caught:
        detkit.load(path)
    tiny.assert_says(str(caught.value), *fragments)


def test_a_wrong_path_is_named_and_what_is_there(run, export, tmp_path):
    expected = "expected an .onnx, or the folder of a run, of a checkpoint or of an export, found"
    (tmp_path / "tiny").mkdir()
    refused(tmp_path / "tinny", str(tmp_path / "tinny"), f"{expected} nothing there", "'tiny'")
    refused(tmp_path / "tiny", f"{expected} an empty folder")
    for name in ("a.jpg", "b.PNG", "notes.txt"):
        (tmp_path / name).write_bytes(b"12345")
    refused(tmp_path, f"{expected} a folder of 2 images", "detect")
    refused(tmp_path / "a.jpg", f"{expected} an image")
    refused(tmp_path / "notes.txt", f"{expected} a file of 5 bytes")
    (tmp_path / "voc/Annotations").mkdir(parents=True)
    refused(tmp_path / "voc", f"{expected} a dataset (Annotations)")
    (tmp_path / "tiny/other").mkdir()
    refused(tmp_path / "tiny", f"{expected} a folder with other")
    refused("", f"{expected} ")


def test_a_file_of_a_detector_is_named_with_what_to_do(run, export, tmp_path):
    refused(run / "config.yaml", "a file of one; name the folder", str(run))
    refused(run.parent / "configs/tiny.yaml", "a config", "detkit.load(config, checkpoint)")
    refused(export / "model.json", "name the folder", str(export))
    refused(last_of(run) / "weights.params", "name the folder", str(last_of(run)))
    (tmp_path / "a.pth").write_bytes(b"")
    refused(tmp_path / "a.pth", "convert-weights")
    refused(load_config(run / "config.yaml"), "found a Config alone")
    refused(None, "found a NoneType alone")


def test_an_unfinished_run_is_named(run, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    refused(tmp_path, "a run without a complete checkpoint")
    (tmp_path / "stages/1-rpn").mkdir(parents=True)
    refused(tmp_path, "whose stages are not joined yet", "1-rpn")
    checkpoint = shutil.copytree(last_of(run), tmp_path / "damaged")
    (checkpoint / "weights.params").write_bytes(b"")
    refused(checkpoint, "weights.params", "sha256")
    (checkpoint / "SHA256SUMS").unlink()
    refused(checkpoint, "expected a complete checkpoint")


def test_the_config_in_a_checkpoint_is_checked(run, tmp_path):
    checkpoint = shutil.copytree(last_of(run), tmp_path / "other")
    tiny.rewrite(checkpoint, "config.yaml", b"model: {type: Unknown}\n")
    refused(checkpoint, "config.yaml", error=ConfigError)


# --- demo -----------------------------------------------------------------------------------------


def test_demo_takes_an_export(run, export, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "photo.png"), photos((64, 64))[0])
    lines = []
    for folder in (run / "checkpoints/best", export):
        words = (run / "config.yaml", folder, tmp_path / "photo.png", "--out", tmp_path / "out")
        assert tiny.tool("demo", *words, "--score", 0) == 0
        lines.append(capsys.readouterr().out)
    assert lines[0] == lines[1] and "photo.png" in lines[0]
    drawn = (run / "config.yaml", export, tmp_path / "photo.png", "--out", tmp_path / "out")
    tiny.assert_says(tiny.refused(capsys, "demo", *drawn, "--tta"), "--tta", "an export")
