"""``--tiles``, ``--overlap`` and ``--no-whole`` of detkit predict, label and test."""

import json

import cv2
import numpy as np
import pytest

import detkit
from detkit import cli
from detkit.commands import line
from detkit.data.tiling import Tiled
from detkit.detections.results import load_results
from detkit.predictions import find_sources
from detkit.predictions.frames import Frames
from detkit.predictions.run import predict
from support import tiny
from support.blobs import Blobs, blank, paint
from support.predicting import write_video

FLOOR = "model.postprocess.score_floor=0"
OPTIONS = [
    (("--tiles", 60), {"size": 60}),
    (("--tiles", 60, "--overlap", 0.5, "--batch-size", 3), {"size": 60, "overlap": 0.5}),
    (("--tiles", 60, "--no-whole"), {"size": 60, "whole": False}),
]


def run(*words):
    """The exit status of ``detkit COMMAND``, run in this process."""
    return cli.run(line.main, list(map(str, words)))


@pytest.fixture
def photo(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (100, 130, 3)).astype(np.uint8)
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in/0.png"), image[..., ::-1])
    return tmp_path / "in"


@pytest.mark.parametrize(("words", "arguments"), OPTIONS)
def test_predict(reference, photo, tmp_path, words, arguments):
    out = tmp_path / "out"
    how = ("--save", "json", "--score", 0, *words)
    assert run("predict", reference, photo, "--out", out, *how) == 0
    (line,) = map(json.loads, (out / "detections.jsonl").read_text().splitlines())
    tiling = detkit.Tiling(**arguments)
    found = detkit.load(str(reference)).detect(str(photo / "0.png"), tiles=tiling, score=0)
    assert len(found) == len(line["detections"]) > 0
    boxes = [one["box"] for one in line["detections"]]
    np.testing.assert_allclose(boxes, found.boxes, atol=1e-3)


@pytest.mark.parametrize(("words", "arguments"), OPTIONS)
def test_test(config, reference, tmp_path, words, arguments):
    out = tmp_path / "found.json"
    how = ("--out", out, "--work-dir", tmp_path, "--set", FLOOR)
    checkpoint = reference / "checkpoints/best"
    assert run("test", config, checkpoint, *how, *words) == 0
    assert "AP50" in json.loads((tmp_path / "result_tiles.json").read_text())
    assert not (tmp_path / "result.json").exists()
    dataset = tiny.validation_set(config)
    written = load_results(out, dataset)
    detector = detkit.load(detkit.build.open_config(config, [FLOOR]), str(checkpoint))
    for n in range(len(dataset)):
        tiling = detkit.Tiling(**arguments)
        found = detector.detect(dataset.image(n), tiles=tiling, score=0)
        boxes = written[dataset.annotation(n).image_id].boxes
        assert len(found)
        np.testing.assert_allclose(boxes, found.boxes, atol=1e-3)


def test_tiles_of_views(config, reference, tmp_path):
    how = ("--work-dir", tmp_path, "--set", FLOOR)
    checkpoint = reference / "checkpoints/best"
    assert run("test", config, checkpoint, *how, "--tiles", 60, "--tta") == 0
    assert (tmp_path / "result_tta_tiles.json").exists()


@pytest.mark.parametrize(("words", "arguments"), OPTIONS[:2])
def test_label(reference, photo, tmp_path, words, arguments):
    how = ("--model", reference, "--to", "labelstudio", "--score", 0, *words)
    assert run("label", photo, "--out", tmp_path / "out", *how) == 0
    (task,) = json.loads((tmp_path / "out/tasks.json").read_text())
    (prediction,) = task["predictions"]
    tiling = detkit.Tiling(**arguments)
    found = detkit.load(str(reference)).detect(str(photo / "0.png"), tiles=tiling, score=0)
    assert len(prediction["result"]) == len(found) > 0


class Results:
    """A form that keeps the results."""

    def __init__(self):
        self.found = []

    def add(self, result):
        self.found.append(result.found)

    def close(self):
        pass


def test_the_frames_of_a_video_are_seen_in_tiles(tmp_path):
    image, save, detector = blank(60, 100), Results(), Blobs()
    paint(image, (50, 20, 58, 28), 1)
    write_video(tmp_path / "clip.avi", 3, (60, 100))
    frames = Frames(find_sources([str(tmp_path / "clip.avi")]))
    tiling = detkit.Tiling(40, batch=2)
    rate = predict(Tiled(detector, tiling), frames, {"json": save}, None, batch_size=8)
    assert rate.items == len(save.found) == 3
    assert set(detector.shapes) == {(2, 40, 40, 3), (1, 60, 100, 3)}


@pytest.mark.parametrize("command", ["predict", "label", "test"])
@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (("--overlap", "0.3"), ("--overlap", "--tiles")),
        (("--no-whole",), ("--no-whole", "--tiles")),
        (("--tiles", "60", "--overlap", "1.5"), ("--overlap", "from 0 to 1", "1.5")),
        (("--tiles", "0"), ("--tiles", "at least 1")),
        (("--tiles", "60", "--overlap", "0.95"), ("--overlap", "0.9", "0.95")),
    ],
)
def test_what_cannot_be_is_said(reference, photo, tmp_path, capsys, command, words, fragments):
    given = {
        "predict": (reference, photo, "--out", tmp_path / "out"),
        "label": (photo, "--model", reference, "--to", "cvat", "--out", tmp_path / "out"),
        "test": (reference,),
    }
    try:
        assert run(command, *given[command], *words) == 1
    except SystemExit as end:
        assert end.code == 2
    tiny.assert_says(capsys.readouterr().err, *fragments)
