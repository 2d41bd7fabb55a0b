"""Lines of JSON: what a reader of JSON finds in them is what was found, bit for bit."""

import json
from dataclasses import replace

import numpy as np
from pycocotools import mask as coco_masks

from detkit.detections import Detections
from detkit.predictions.frames import Frame
from detkit.predictions.saves import SAVES, Result, Target
from detkit.predictions.saves.json_lines import quoted
from detkit.predictions.sources import IMAGE, Source
from support.predicting import CLASSES, SIZE, detections, picture, results_of_video, with_masks


def written(folder, items):
    save = SAVES["json"](Target(folder, CLASSES))
    for item in items:
        save.add(item)
    save.close()
    text = (folder / "detections.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def result(found, path="deep/a.jpg"):
    return Result(0, Frame(Source(IMAGE, path, "a"), picture(1), "a"), found)


def assert_same(line, found):
    boxes = [one["box"] for one in line["detections"]]
    np.testing.assert_array_equal(np.float32(boxes).reshape(-1, 4), found.boxes)
    np.testing.assert_array_equal(
        np.float32([d["score"] for d in line["detections"]]), found.scores
    )
    assert [one["label"] for one in line["detections"]] == found.labels.tolist()
    assert [one["name"] for one in line["detections"]] == [CLASSES[n] for n in found.labels]


def test_boxes_scores_and_names_are_read_back_bit_for_bit(tmp_path):
    items = [result(detections(1, 9)), result(detections(2, 0))]
    lines = written(tmp_path, items)
    for line, item in zip(lines, items):
        assert list(line) == ["path", "height", "width", "detections"]
        assert (line["path"], line["height"], line["width"]) == ("deep/a.jpg", *SIZE)
        assert_same(line, item.found)
    assert lines[1]["detections"] == []
    assert list(lines[0]["detections"][0]) == ["box", "score", "label", "name"]


def test_a_frame_of_a_video_has_its_number_and_time(tmp_path):
    items = results_of_video(3, detections)
    lines = written(tmp_path, items)
    assert [(line["path"], line["frame"], line["seconds"]) for line in lines] == [
        ("clip.avi", 0, 0), ("clip.avi", 1, 0.1), ("clip.avi", 2, 0.2)
    ]  # fmt: skip
    for line, item in zip(lines, items):
        assert_same(line, item.found)


def test_masks_and_keypoints(tmp_path):
    points = np.random.default_rng(1).uniform(0, 40, (3, 2, 3)).astype(np.float32)
    found = replace(with_masks(4), keypoints=points)
    (line,) = written(tmp_path, [result(found)])
    for row, one in enumerate(line["detections"]):
        assert list(one) == ["box", "score", "label", "name", "mask", "keypoints"]
        mask = coco_masks.decode({**one["mask"], "counts": one["mask"]["counts"].encode()})
        np.testing.assert_array_equal(mask, found.mask(row) >= 0.5)
        np.testing.assert_array_equal(np.float32(one["keypoints"]), points[row])


def test_odd_names_and_bytes_that_are_no_text():
    for text in ('a "b" \\ c', "\t\x01\n", "größe", "🐈"):
        assert json.loads(quoted(text)) == text
    name = b"a\xff\xfeb".decode("utf-8", "surrogateescape")
    assert quoted(name) == '"a\\ufffd\\ufffdb"'


def test_the_password_of_an_address_is_not_written(tmp_path):
    source = Source("stream", "rtsp://me:secret@h/live", "h-live")
    found = Detections(*[detections(1, 1).boxes, np.float32([1]), np.int32([0])], CLASSES)
    item = Result(0, Frame(source, picture(1), "h-live/000000", 0), found)
    (line,) = written(tmp_path, [item])
    assert line["path"] == "rtsp://h/live"
