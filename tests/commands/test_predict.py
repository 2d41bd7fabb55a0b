"""``detkit predict`` with a trained detector: what it takes as MODEL and as SOURCE, and faults."""

import json

import numpy as np
import pytest

import detkit
from support import tiny
from support.predicting import write_images, write_video


@pytest.fixture
def folder(tmp_path):
    """Two images, one that is damaged, and a video that was cut off."""
    paths = write_images(tmp_path / "in", 3, (64, 64))
    paths[1].write_bytes(paths[1].read_bytes()[:200])
    whole = write_video(tmp_path / "whole.avi", 30, (96, 128)).read_bytes()
    (tmp_path / "in/clip.avi").write_bytes(whole[: len(whole) * 6 // 10])
    return tmp_path / "in"


def test_a_run_and_its_checkpoint_with_a_config_are_the_same(reference, config, folder, tmp_path):
    """Broken images and truncated videos are left out, and all else is saved."""
    written = []
    for number, words in enumerate([[reference], [config, reference / "checkpoints/best"]]):
        out = tmp_path / f"out{number}"
        options = ["--out", out, "--save", "json,coco", "--score", 0, "--batch-size", 2]
        assert tiny.tool("demo", *words, folder, *options) == 1
        written.append((out / "detections.jsonl").read_text())
    assert written[0] == written[1]
    lines = list(map(json.loads, written[0].splitlines()))
    assert [line["path"] for line in lines[:2]] == [f"{folder}/0.png", f"{folder}/2.png"]
    assert [line["frame"] for line in lines[2:]] == list(range(len(lines) - 2))
    assert 2 + 5 < len(lines) < 2 + 30
    found = detkit.load(str(reference)).detect(str(folder / "2.png"))
    boxes = [one["box"] for one in lines[1]["detections"]]
    np.testing.assert_allclose(np.reshape(boxes, (-1, 4)), found.boxes, atol=1e-3)


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (("{run}", "{in}", "--out", "{in}/0.png/out"), ("0.png/out: ", "writable folder")),
        (("{run}", "{in}", "--out", "{in}/0.png"), ("writable folder, found a file",)),
        (("{run}", "{in}/0.png", "--out", "{in}/o", "--save", "video"), ("found 1 image",)),
        (("{run}", "{in}/9.png", "--out", "{in}/o"), ("9.png: no such file", "did you mean")),
        (("{in}", "{in}/0.png", "--out", "{in}/o"), ("{in}", "expected")),
    ],
)
def test_what_cannot_be_is_said(reference, folder, capsys, words, fragments):
    def filled(text):
        return text.replace("{run}", str(reference)).replace("{in}", str(folder))

    message = tiny.refused(capsys, "demo", *map(filled, words))
    tiny.assert_says(message, *map(filled, fragments))
    assert not (folder / "o").exists()
