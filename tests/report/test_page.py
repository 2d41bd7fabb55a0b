"""The page of a report: it is whole in itself, and names from strangers stay text."""

import base64
import hashlib
import html.parser
import json
import math
import re

import cv2
import numpy as np
import pytest

from detkit.report import environment_of_run, page
from detkit.report.pack import FEWEST, packed
from support import summaries
from support.tiny import ROOT, assert_says

HOSTILE = "</script><script>alert('1')</script><img src=x onerror=\"alert(2)\">&\u2028${data}"


class Tags(html.parser.HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(summary, dataset, detections)"""
    return summaries.summary_of(tmp_path_factory.mktemp("run"))


def data_of(text):
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return json.loads(data)


def numbers(value):
    """All numbers of a value of JSON."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for each in value for number in numbers(each)]
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def test_the_page_needs_no_other_file(made, tmp_path):
    summary, dataset, _ = made
    text = summaries.write_page(tmp_path / "a.html", [summary], dataset).read_text()
    assert not re.search(r"https?:|//www|@import|url\(", text)
    for tag, attributes in Tags(text).tags:
        assert not {"href", "src", "srcset"} & set(attributes), tag
        assert not any(name.startswith("on") for name in attributes)
    text.encode("ascii", "ignore")
    bare = page([{**summary, "examples": []}])
    assert len(bare.encode()) < 200_000


def test_only_the_pages_own_script_and_style_are_allowed(made):
    text = page([made[0]])
    (rules,) = [one["content"] for tag, one in Tags(text).tags if "http-equiv" in one]
    assert_says(rules, "default-src 'none'", "img-src data:;")
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in rules
    assert "unsafe" not in rules


def test_hostile_names_stay_text(made):
    summary, dataset, _ = made
    hostile = summaries.renamed(summary, dataset.class_names[0], HOSTILE)
    text = page([{**hostile, "name": HOSTILE}])
    assert [tag for tag, _ in Tags(text).tags] == [tag for tag, _ in Tags(page([summary])).tags]
    assert HOSTILE not in text
    assert data_of(text)["class_names"][0] == HOSTILE
    assert data_of(text)["runs"][0]["name"] == HOSTILE


def test_the_script_never_writes_html():
    for path in (ROOT / "detkit/report").glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(",
            path.read_text(),
        )
        assert path.read_text().count("\n") < 300


def test_all_numbers_are_in_the_page(made):
    summary, _, _ = made
    (run,) = data_of(page([summary]))["runs"]
    same = ("images", "objects", "difficult", "metrics", "classes", "calibration", "boxes")
    for key in (*same, "errors", "speed", "curves_of_training", "about", "threshold"):
        assert np.allclose(numbers(run[key]), numbers(summary[key]), atol=1e-5), key
    for short, whole in zip(run["curves"], summary["curves"]):
        hits, detections = np.array(short["hits"]), np.array(short["detections"])
        assert np.allclose(short["scores"], whole["scores"], atol=1e-5)
        assert np.allclose(hits / detections, whole["precision"])
        both = detections + whole["objects"]
        assert np.allclose(2 * hits / both, np.array(whole["f1"], float), equal_nan=True)
    counts = np.array(summary["confusion"]["counts"])
    again = np.zeros_like(counts)
    for matrix, cells in zip(again, run["confusion"]["cells"]):
        for row, column, count in np.reshape(cells, (-1, 3)):
            matrix[row, column] = count
    assert (again == counts).all()
    assert [one["all"] for one in run["curves"]] == [True] + [False] * 6


def test_a_page_of_many_classes_and_runs_is_small(made):
    summary, _, _ = made
    one = {"name": "a class", "objects": 10}
    curve = {**one, **{key: list(range(400)) for key in ("scores", "hits", "detections")}}
    counts = np.zeros((19, 1204, 1204), int)
    counts[:, range(1204), range(1204)] = 10
    names = [f"class {n}" for n in range(1203)]
    many = {
        **summary,
        "class_names": names,
        "curves": [curve] * 1204,
        "confusion": {**summary["confusion"], "counts": counts},
        "examples": [],
    }
    assert len(page([many, many]).encode()) < 3_000_000
    assert {len(each["scores"]) for each in packed(many, 2)["curves"]} == {FEWEST}


def test_nan_is_not_written(made):
    broken = {**made[0], "calibration": {**made[0]["calibration"], "ece": math.nan}}
    assert data_of(page([broken]))["runs"][0]["calibration"]["ece"] is None


def test_pictures_and_boxes(made):
    summary, dataset, detections = made
    pictures = summaries.pictures_of([summary], dataset)
    rows = {dataset.annotation(index).image_id: index for index in range(len(dataset))}
    for example in summary["examples"]:
        head, _, encoded = pictures[str(example["image_id"])].partition(",")
        assert head == "data:image/jpeg;base64"
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_COLOR)
        image = dataset.image(rows[example["image_id"]])
        assert max(picture.shape) == min(480, max(image.shape))
        mean = cv2.resize(image, picture.shape[1::-1]).mean((0, 1))[::-1]
        assert np.abs(mean - picture.mean((0, 1))).max() < 6
        found = detections[example["image_id"]]
        scores = [one["score"] for one in example["detections"]]
        assert np.allclose(scores, np.sort(found.scores)[::-1], atol=1e-4)
        # The objects of hits are of their class, and each has one hit.
        hits = [one for one in example["detections"] if one["hit"]]
        assert [example["objects"][one["object"]]["label"] for one in hits] == [
            one["label"] for one in hits
        ]
        assert len({one["object"] for one in hits}) == len(hits)
        at = [one["object"] for one in hits if one["score"] >= summary["threshold"] - 1e-4]
        assert {n for n, one in enumerate(example["objects"]) if one["found"]} == set(at)


def test_learning_curves(made, tmp_path):
    curves = {one["name"]: (one["steps"], one["values"]) for one in made[0]["curves_of_training"]}
    assert curves == {
        "lr": ([1, 2, 3], [0.01] * 3),
        "loss": ([1, 2, 3], [3.0, 1.5, 0.75]),  # step 3 was made again
        "validation loss": ([3], [1.5]),
        "AP": ([3], [0.25]),
    }
    assert environment_of_run(tmp_path) == {}
    assert summaries.curves_of_training(tmp_path) is None
    huge = '{"kind": "train", "step": 1' + "0" * 400 + "}\n" + "[" * 100_000 + "\n\0\n"
    many = "".join(f'{{"kind": "train", "step": {n}, "loss": {n}}}\n' for n in range(2000))
    (tmp_path / "log.jsonl").write_text(huge + many)
    (curve,) = summaries.curves_of_training(tmp_path)
    assert curve["steps"] == curve["values"] == [5 * n + 2 for n in range(400)]
