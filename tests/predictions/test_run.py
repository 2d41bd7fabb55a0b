"""From sources to files with a detector without network: memory, errors, and Ctrl-C."""

import csv
import json
import logging
import signal
import time
import tracemalloc

import cv2
import numpy as np
import pytest

from detkit.errors import DataError
from detkit.predictions import find_sources
from detkit.predictions.frames import Frames
from detkit.predictions.run import described, predict, telling
from detkit.predictions.saves import open_saves
from detkit.predictions.sources import STREAM, Source
from support.layouts import read
from support.predicting import (
    CLASSES,
    FakeCapture,
    FakeDetector,
    detections,
    picture,
    write_images,
    write_video,
)

ALL = ("pictures", "video", "json", "coco", "yolo", "voc", "labelme", "csv", "crops")


class EndlessCapture(FakeCapture):
    """A camera that never stops, whose frames are all the same."""

    def __init__(self, image):
        super().__init__((), rate=30)
        self.image, self.count = image, 0

    def read(self):
        self.count += 1
        return True, self.image


class Interrupted(FakeDetector):
    """Gets a Ctrl-C while it detects in the sixth image, when the first two were saved."""

    def __init__(self):
        self.left, self.heard = 6, []

    def detect_batch(self, batch):
        self.left -= 1
        if self.left == 0:
            while len(self.heard) < 2:
                time.sleep(0.001)
            signal.raise_signal(signal.SIGINT)
        return super().detect_batch(batch)


@pytest.fixture
def ctrl_c():
    """Python's own handler of SIGINT, which the background jobs of a shell ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def camera():
    capture = EndlessCapture(picture(3))
    return Frames([Source(STREAM, "rtsp://h/live", "live")], opened=lambda source: capture)


def test_all_forms_of_all_sources_at_once(tmp_path):
    write_images(tmp_path / "in", 3)
    write_video(tmp_path / "in/clip.avi", 5)
    frames = Frames(find_sources([str(tmp_path / "in")]))
    (tmp_path / "out").mkdir()
    saves = open_saves(ALL, tmp_path / "out", CLASSES, "symlink")
    heard = []
    rate = predict(FakeDetector(), frames, saves, 0.7, batch_size=2, heard=heard.append)
    assert rate.items == 8 and rate.dropped == 0
    assert [item.index for item in heard] == list(range(8))
    lines = (tmp_path / "out/detections.jsonl").read_text(encoding="utf-8").splitlines()
    for line, item in zip(map(json.loads, lines), heard):
        expected = detections(int(item.frame.image.mean()))
        expected = expected[expected.scores >= 0.7]
        boxes = [one["box"] for one in line["detections"]]
        np.testing.assert_array_equal(np.float32(boxes).reshape(-1, 4), expected.boxes)
    for form in ("coco", "yolo", "voc", "labelme", "csv"):
        dataset = read(tmp_path / "out" / form)
        count = sum(len(dataset.annotation(index).labels) for index in range(8))
        assert len(dataset) == 8 and count == sum(len(item.found) for item in heard)
    assert not list((tmp_path / "out").rglob("*.part*"))
    assert described(rate).startswith("8 images in ")


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_leaves_what_was_saved_readable(tmp_path, caplog):
    caplog.set_level(logging.INFO, "detkit")
    (tmp_path / "out").mkdir()
    saves = open_saves(ALL, tmp_path / "out", CLASSES, "symlink")
    detector = Interrupted()
    heard = detector.heard
    with pytest.raises(KeyboardInterrupt):
        predict(detector, camera(), saves, 0, heard=heard.append)
    count = len(heard)
    assert 2 <= count <= 5
    assert f"{count} image" in caplog.records[-1].getMessage()
    lines = (tmp_path / "out/detections.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(list(map(json.loads, lines))) == count
    with open(tmp_path / "out/csv/train.csv", encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == sum(len(item.found) for item in heard)
    content = json.loads((tmp_path / "out/coco/annotations/instances_train.json").read_text())
    assert len(content["images"]) == count
    assert len(read(tmp_path / "out/voc")) == count
    capture = cv2.VideoCapture(str(tmp_path / "out/live.mp4"))
    assert [capture.read()[0] for _ in range(count + 1)] == [True] * count + [False]
    assert not list((tmp_path / "out").rglob("*.part*"))


class FullDisk:
    """A form that cannot write its third result."""

    def __init__(self):
        self.count, self.closed = 0, False

    def add(self, result):
        self.count += 1
        if self.count == 3:
            raise DataError("out: cannot be written: No space left on device")

    def close(self):
        self.closed = True


def test_a_disk_that_is_full_ends_the_run_and_completes_the_other_forms(tmp_path):
    saves = {**open_saves(["json"], tmp_path, CLASSES, "symlink"), "full": FullDisk()}
    with pytest.raises(DataError, match="No space left"):
        predict(FakeDetector(), camera(), saves, 0)
    assert saves["full"].closed
    lines = (tmp_path / "detections.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(list(map(json.loads, lines))) == 3


def test_memory_is_flat(tmp_path):
    """Nothing of a frame is kept: 60 frames of 0.4 MB need no more than 12 do."""

    class Counted(EndlessCapture):
        def read(self):
            is_there, image = super().read()
            return (False, None) if self.count > self.limit else (is_there, image.copy())

    def peak(count, folder):
        capture = Counted(picture(1, (300, 400)))
        capture.limit, capture.properties["stated"] = count, count
        frames = Frames([Source(STREAM, "http://h/v.mp4", "v")], opened=lambda source: capture)
        saves = open_saves(["json", "coco"], folder, CLASSES, "none")
        tracemalloc.start()
        predict(FakeDetector(), frames, saves, 0)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    first, second = peak(12, tmp_path / "a"), peak(60, tmp_path / "b")
    assert second < first + 4e6


def test_lines_name_what_was_found(tmp_path):
    write_images(tmp_path, 1)
    write_video(tmp_path / "clip.avi", 3)
    said = []
    heard = telling(said.append, lambda item: "drawn.png" if item.index == 0 else "")
    predict(FakeDetector(), Frames(find_sources([str(tmp_path)])), {}, 0.9, heard=heard)
    assert said[0].startswith(f"{tmp_path}/0.png -> drawn.png: ")
    assert said[1:] == [f"{tmp_path}/clip.avi: 60 x 40 pixels"]
