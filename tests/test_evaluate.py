"""The evaluators against slow oracles, GluonCV and numbers counted by hand; results files."""

import json
import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detkit.detections import Detections
from detkit.errors import ConfigError, DataError
from detkit.evaluate import (
    COCOEvaluator,
    VOCEvaluator,
    format_table,
    load_results,
    metrics_to_json,
    save_results,
)
from detkit.evaluate.matching import pairwise_iou
from detkit.registry import EVALUATORS

NAMES = ("cat", "dog", "owl")


class Annotation(NamedTuple):
    image_id: object
    width: int
    height: int
    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray


class Dataset:
    """Annotations in memory: each image a list of (box, label) or (box, label, difficult)."""

    def __init__(self, images, class_names=NAMES):
        self.class_names = class_names
        self._images = [
            Annotation(
                image_id,
                100,
                100,
                np.array([o[0] for o in objects], np.float32).reshape(-1, 4),
                np.array([o[1] for o in objects], np.int32),
                np.array([len(o) > 2 and o[2] for o in objects], bool),
            )
            for image_id, objects in images.items()
        ]

    def __len__(self):
        return len(self._images)

    def annotation(self, index):
        return self._images[index]


def found(*rows, names=NAMES):
    """Detections of (box, score, label)."""
    return Detections(
        np.array([r[0] for r in rows], np.float32).reshape(-1, 4),
        np.array([r[1] for r in rows], np.float32),
        np.array([r[2] for r in rows], np.int32),
        names,
    )


def square(x, y=0, side=10):
    return (x, y, x + side, y + side)


def random_case(seed, images=6, objects=5, difficult=0.2):
    """A dataset and detections near its objects; every score is another."""
    rng = np.random.default_rng(seed)
    truth, detections = {}, {}
    scores = iter(rng.permutation(10000) / 10000)
    for image in range(images):
        count = rng.integers(objects + 1)
        corners = rng.uniform(0, 60, (count, 2))
        boxes = np.hstack([corners, corners + rng.uniform(10, 40, (count, 2))])
        labels = rng.integers(0, len(NAMES), count)
        hard = rng.random(count) < difficult
        truth[image] = list(zip(boxes, labels, hard))
        rows = [
            (box + rng.normal(0, 2, 4), next(scores), label if rng.random() < 0.8 else 0)
            for box, label in zip(boxes, labels)
            for _ in range(rng.integers(3))
        ]
        rows += [(square(60 * rng.random(), 60 * rng.random()), next(scores), 1)]
        detections[image] = found(*rows)
    return Dataset(truth), detections


# --- VOC ----------------------------------------------------------------------------------------


def slow_iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (areas - width * height)


def slow_ap(dataset, detections, label, threshold, style):
    """The devkit's VOCevaldet.m, one detection at a time."""
    objects, total = {}, 0
    for index in range(len(dataset)):
        a = dataset.annotation(index)
        mine = [i for i in range(len(a.labels)) if a.labels[i] == label]
        objects[a.image_id] = [(a.boxes[i].tolist(), bool(a.difficult[i])) for i in mine]
        total += sum(not hard for _, hard in objects[a.image_id])
    if not total:
        return math.nan
    rows = [
        (score, image, box)
        for image, d in detections.items()
        for box, score, k in zip(d.boxes.tolist(), d.scores.tolist(), d.labels)
        if k == label
    ]
    taken, hits, false, curve = set(), 0, 0, []
    for _, image, box in sorted(rows, key=lambda row: -row[0]):
        ious = [slow_iou(box, other) for other, _ in objects[image]]
        best = int(np.argmax(ious)) if ious else None
        if best is not None and ious[best] >= threshold:
            if objects[image][best][1]:
                continue
            if (image, best) in taken:
                false += 1
            else:
                hits += 1
                taken.add((image, best))
        else:
            false += 1
        curve.append((hits / total, hits / (hits + false)))
    if style == "11point":
        points = np.arange(0.0, 1.1, 0.1)
        return sum(max([p for r, p in curve if r >= t], default=0) for t in points) / 11
    area, last = 0.0, 0.0
    for index, (recall, _) in enumerate(curve):
        area += (recall - last) * max(p for _, p in curve[index:])
        last = recall
    return area


@pytest.mark.parametrize("style", ["area", "11point"])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), difficult=st.sampled_from([0, 0.3, 1]))
def test_voc_agrees_with_the_slow_oracle(style, seed, difficult):
    dataset, detections = random_case(seed, difficult=difficult)
    metrics = VOCEvaluator(style)(dataset, detections)
    at_50 = [slow_ap(dataset, detections, k, 0.5, style) for k in range(3)]
    np.testing.assert_allclose(list(metrics["per_class"].values()), at_50, atol=1e-12)
    with np.testing.suppress_warnings() as quiet:
        quiet.filter(RuntimeWarning)
        ious = np.linspace(0.5, 0.95, 10).round(2)
        every = [[slow_ap(dataset, detections, k, t, style) for k in range(3)] for t in ious]
        np.testing.assert_allclose(metrics["AP"], np.nanmean(every), atol=1e-12)
        np.testing.assert_allclose(metrics["AP50"], np.nanmean(at_50), atol=1e-12)


@pytest.mark.parametrize("style", ["area", "11point"])
def test_voc_agrees_with_gluoncv(style):
    metrics = pytest.importorskip("gluoncv.utils.metrics.voc_detection")
    kind = metrics.VOCMApMetric if style == "area" else metrics.VOC07MApMetric
    for seed in range(10):
        dataset, detections = random_case(seed, images=20)
        theirs = kind(iou_thresh=0.5, class_names=NAMES)
        for index in range(len(dataset)):
            a, d = dataset.annotation(index), detections[index]
            # GluonCV adds 1 to the far corners of both.
            shift = np.array([0, 0, 1, 1], np.float32)
            theirs.update(
                (d.boxes - shift)[None],
                d.labels[None],
                d.scores[None],
                (a.boxes - shift)[None],
                a.labels[None],
                a.difficult[None],
            )
        ours = VOCEvaluator(style)(dataset, detections)
        expected = dict(zip(*theirs.get()))
        assert ours["AP50"] == pytest.approx(expected["mAP"], abs=1e-9)
        for name in NAMES:
            assert ours["per_class"][name] == pytest.approx(expected[name], abs=1e-9)


def test_voc_counted_by_hand():
    """Two of three cats found, one twice, with one false alarm between."""
    dataset = Dataset({"a": [(square(0), 0), (square(50), 0)], "b": [(square(0), 0)]})
    detections = {
        "a": found((square(0), 0.9, 0), (square(0.5), 0.7, 0), (square(50), 0.6, 0)),
        "b": found((square(80), 0.8, 0)),
    }
    # hit, false, false (twice), hit: precision 1, 1/2, 1/3, 1/2 at recall 1/3, 1/3, 1/3, 2/3
    area = VOCEvaluator(ious=[0.5])(dataset, detections)
    assert area["AP"] == area["AP50"] == pytest.approx(1 / 3 * 1 + 1 / 3 * 0.5)
    assert list(area["per_class"]) == list(NAMES)
    points = VOCEvaluator("11point", [0.5])(dataset, detections)  # 0 to 0.3, then 0.4 to 0.6
    assert points["AP50"] == pytest.approx((4 * 1 + 3 * 0.5) / 11)


def test_a_difficult_object_is_neither_a_hit_nor_a_false_alarm():
    dataset = Dataset({"a": [(square(0), 0), (square(50), 0, True)]})
    detections = {"a": found((square(50), 0.9, 0), (square(51), 0.8, 0), (square(0), 0.7, 0))}
    for evaluator in (VOCEvaluator(), COCOEvaluator()):
        assert evaluator(dataset, detections)["AP50"] == pytest.approx(1)


def test_the_threshold_itself_is_a_hit():
    dataset = Dataset({"a": [((0, 0, 10, 10), 0)]})
    half = {"a": found(((0, 0, 10, 5), 0.9, 0))}  # IoU exactly 1/2
    less = {"a": found(((0, 0, 10, 4.99), 0.9, 0))}
    assert VOCEvaluator()(dataset, half)["AP50"] == 1
    assert VOCEvaluator()(dataset, less)["AP50"] == 0


def test_equal_scores_are_taken_in_the_datasets_order():
    dataset = Dataset({2: [(square(0), 0)], 1: []})
    detections = {1: found((square(0), 0.5, 0)), 2: found((square(0), 0.5, 0))}
    assert VOCEvaluator()(dataset, detections)["AP50"] == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"style": "2007"}, "style is '2007', expected 'area' or '11point'"),
        ({"ious": []}, "ious are [], expected some in (0, 1]"),
        ({"ious": [50]}, "ious are [50]"),
    ],
)
def test_voc_refuses_wrong_arguments(arguments, expected):
    with pytest.raises(ConfigError) as caught:
        VOCEvaluator(**arguments)
    assert expected in str(caught.value)


def test_iou_of_empty_boxes_and_of_none():
    point = np.array([[5, 5, 5, 5]], np.float32)
    assert pairwise_iou(point, point)[0, 0] == 0
    assert pairwise_iou(point, np.zeros((0, 4), np.float32)).shape == (1, 0)
    shifted = pairwise_iou(np.array([square(0)]), np.array([square(5), square(20)]))
    np.testing.assert_allclose(shifted, [[1 / 3, 0]])


# --- COCO ---------------------------------------------------------------------------------------


def test_coco_counted_by_hand(capsys):
    dataset = Dataset(
        {
            "small": [(square(0, side=20), 0)],
            "medium": [(square(0, side=50), 0)],
            "large": [(square(0, side=98), 1)],
            "empty": [],
        }
    )
    detections = {
        "small": found((square(0, side=20), 0.9, 0)),
        "medium": found(((0, 0, 50, 40), 0.8, 0)),  # IoU 0.8: a hit at 7 of 10 thresholds
        "large": found(((0, 0, 98, 49), 0.7, 1)),  # IoU 0.5: at one
    }
    metrics = COCOEvaluator()(dataset, detections)
    # COCO's 101 recalls, 0 to 1: all of them, or the 51 up to 1/2 where only one cat is found.
    cat = (7 * 1 + 3 * 51 / 101) / 10
    assert metrics["AP"] == pytest.approx((cat + 0.1) / 2)
    assert metrics["AP50"] == pytest.approx(1)
    assert metrics["AP75"] == pytest.approx(0.5)
    assert metrics["APs"] == pytest.approx(1)
    assert metrics["APm"] == pytest.approx(0.7)
    assert metrics["APl"] == pytest.approx(0.1)
    assert metrics["AR100"] == pytest.approx((0.85 + 0.1) / 2)
    assert metrics["per_class"]["cat"] == pytest.approx(1)
    assert metrics["per_class"]["dog"] == pytest.approx(1)
    assert math.isnan(metrics["per_class"]["owl"])
    assert all(type(value) is float for name, value in metrics.items() if name != "per_class")
    assert capsys.readouterr() == ("", "")


def test_coco_counts_a_false_alarm_above_a_hit():
    dataset = Dataset({1: [(square(0), 2)]})
    detections = {1: found((square(0), 0.5, 2), (square(60), 0.9, 2))}
    metrics = COCOEvaluator()(dataset, detections)
    assert metrics["AP"] == metrics["AP50"] == pytest.approx(0.5)
    assert metrics["AR100"] == pytest.approx(1)


# --- Both ---------------------------------------------------------------------------------------

EVERY = [VOCEvaluator(), VOCEvaluator("11point"), COCOEvaluator()]


@pytest.mark.parametrize("evaluator", EVERY)
class TestEveryEvaluator:
    def test_the_truth_itself_scores_one(self, evaluator):
        dataset = Dataset({i: [(square(30 * k, 30 * i), k) for k in range(3)] for i in range(3)})
        detections = {
            i: found(*((square(30 * k, 30 * i), 0.9, k) for k in range(3))) for i in range(3)
        }
        metrics = evaluator(dataset, detections)
        assert metrics["AP"] == pytest.approx(1)
        assert list(metrics["per_class"].values()) == pytest.approx([1, 1, 1])

    @pytest.mark.parametrize("detections", [{}, {"a": found()}])
    def test_no_detections_score_zero_and_classes_without_truth_nan(self, evaluator, detections):
        metrics = evaluator(Dataset({"a": [(square(0), 0), (square(0), 2, True)]}), detections)
        assert metrics["AP"] == metrics["AP50"] == metrics["per_class"]["cat"] == 0
        assert math.isnan(metrics["per_class"]["dog"])
        assert math.isnan(metrics["per_class"]["owl"])

    def test_a_class_without_truth_is_left_out_of_the_means(self, evaluator):
        dataset = Dataset({"a": [(square(0), 0)]})
        detections = {"a": found((square(0), 0.9, 0), (square(40), 0.95, 1))}
        assert evaluator(dataset, detections)["AP"] == pytest.approx(1)

    def test_without_any_truth_all_is_nan(self, evaluator):
        metrics = evaluator(Dataset({"a": []}), {"a": found((square(0), 0.9, 0))})
        assert math.isnan(metrics["AP"])
        assert math.isnan(metrics["AP50"])

    @pytest.mark.parametrize(
        ("detections", "expected"),
        [
            ({"b": found()}, "not of this dataset's 1, beginning with 'b'"),
            ({"a": found((square(0), 0.9, 3))}, "image 'a': labels from 3 to 3, expected 0 to 2"),
            ({"a": found((square(0), math.nan, 0))}, "image 'a': a detected box or score"),
            ({"a": found(names=("x", "y"))}, "knows the classes ['x', 'y'], the dataset ['cat'"),
        ],
    )
    def test_detections_of_something_else_are_refused(self, evaluator, detections, expected):
        with pytest.raises(DataError) as caught:
            evaluator(Dataset({"a": [(square(0), 0)]}), detections)
        assert expected in str(caught.value)

    def test_no_images_are_refused(self, evaluator):
        with pytest.raises(DataError, match="the dataset has no images"):
            evaluator(Dataset({}), {})

    def test_an_image_twice_is_refused(self, evaluator):
        dataset = Dataset({"a": []})
        dataset._images *= 2
        with pytest.raises(DataError, match="has the image 'a' twice"):
            evaluator(dataset, {})


def test_the_evaluators_agree_where_their_rules_do():
    """One class, every IoU high or zero: only the 101 recalls differ from the area."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        truth = {i: [(square(30 * k), 0) for k in range(3)] for i in range(20)}
        rows = {
            i: [(square(30 * k + 60 * (rng.random() < 0.3)), rng.random(), 0) for k in range(3)]
            for i in range(20)
        }
        detections = {i: found(*row) for i, row in rows.items()}
        voc = VOCEvaluator()(Dataset(truth), detections)["AP50"]
        coco = COCOEvaluator()(Dataset(truth), detections)["AP50"]
        assert voc == pytest.approx(coco, abs=0.02)


def test_the_evaluators_are_registered():
    assert EVALUATORS.get("VOCEvaluator") is VOCEvaluator
    assert EVALUATORS.get("COCOEvaluator") is COCOEvaluator
    assert isinstance(EVALUATORS.build({"type": "VOCEvaluator", "style": "11point"}), VOCEvaluator)


# --- Files and tables ---------------------------------------------------------------------------


@pytest.fixture
def dataset():
    return Dataset({7: [(square(0), 0)], "b": [], 9: []})


def refused(path, dataset, content=None):
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError) as caught:
        load_results(path, dataset)
    assert str(path) in str(caught.value)
    return str(caught.value)


def entry(**changes):
    return {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5, **changes}


def test_results_survive_the_file(dataset, tmp_path):
    path = tmp_path / "results.json"
    rows = (((1.5, 2, 4.25, 6), 0.875, 2), (square(3), 0.1, 0))
    save_results(path, {7: found(*rows), "b": found((square(1), 0.3, 1))}, dataset)
    entries = json.loads(path.read_text())
    assert entries[0] == {
        "image_id": 7,
        "category_id": 3,
        "bbox": [1.5, 2.0, 2.75, 4.0],
        "score": 0.875,
    }
    loaded = load_results(path, dataset)
    assert list(loaded) == [7, "b", 9]
    for ours, expected in zip(loaded[7], found(*rows)):
        np.testing.assert_array_equal(ours, expected)
    assert [array.dtype for array in loaded[7][:3]] == [np.float32, np.float32, np.int32]
    assert loaded[9].boxes.shape == (0, 4)
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_the_datasets_own_category_ids_are_used(dataset, tmp_path):
    dataset.category_ids = (1, 18, 90)
    path = tmp_path / "results.json"
    save_results(path, {7: found((square(0), 0.5, 2))}, dataset)
    assert json.loads(path.read_text())[0]["category_id"] == 90
    assert load_results(path, dataset)[7].labels.tolist() == [2]
    assert "category_id 2 is not one of 1, 18, 90" in refused(path, dataset, [entry(category_id=2)])


def test_results_are_loaded_best_first(dataset, tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps([entry(score=s, segmentation=[]) for s in (0.2, 0.9, 0.4)]))
    np.testing.assert_allclose(load_results(path, dataset)[7].scores, [0.9, 0.4, 0.2])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"image_id": 8}, "image_id 8 is not in the dataset, whose ids are like 7"),
        ({"image_id": "7"}, "image_id '7' is not in the dataset"),
        ({"image_id": [7]}, "image_id [7] is not in the dataset"),
        ({"category_id": 4}, "category_id 4 is not one of 1, 2, 3"),
        ({"category_id": True}, "category_id True is not one of"),
        ({"bbox": [1, 2, 3]}, "bbox is [1, 2, 3], expected four finite numbers"),
        ({"bbox": [1, 2, "3", 4]}, "expected four finite numbers x, y, width, height"),
        ({"bbox": [1, 2, 1e60, 4]}, "expected four finite numbers"),
        ({"bbox": [1, 2, -3, 4]}, "its width or height is negative"),
        ({"score": "high"}, "score is 'high', expected a finite number"),
        ({"score": None}, "score is None"),
    ],
)
def test_a_wrong_entry_is_named(dataset, tmp_path, changes, expected):
    message = refused(tmp_path / "r.json", dataset, [entry(), entry(**changes)])
    assert "entry 1: " in message
    assert expected in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "not a JSON file"),
        ("<html>", "not a JSON file"),
        ("[" * 100000, "not a JSON file"),
        ('{"annotations": []}', "holds a dict, expected a list of results"),
        ('[{"score": NaN}]', "holds NaN, which is neither a number nor JSON"),
        ("[3]", "entry 0: a int, expected an object with image_id, category_id, bbox, score"),
        ('[{"score": 1, "box": 2}]', "entry 0: lacks image_id, category_id, bbox; it has 'score'"),
    ],
)
def test_what_is_no_results_file_is_said(dataset, tmp_path, content, expected):
    assert expected in refused(tmp_path / "r.json", dataset, content)


def test_files_that_cannot_be_read_or_written_are_said(dataset, tmp_path):
    assert "No such file" in refused(tmp_path / "missing.json", dataset)
    (tmp_path / "latin.json").write_bytes(b'["\xff"]')
    assert "not a JSON file" in refused(tmp_path / "latin.json", dataset)
    with pytest.raises(DataError, match="results cannot be written: No such file"):
        save_results(tmp_path / "no" / "folder.json", {}, dataset)


def test_the_table_shows_percent_and_a_dash_without_truth():
    per_class = {"cat": 0.5, "aeroplane": math.nan}
    table = format_table({"AP": 0.25, "AP50": 1.0, "per_class": per_class})
    assert table.splitlines() == [
        "class      AP50 %",
        "-----------------",
        "cat          50.0",
        "aeroplane       -",
        "-----------------",
        "AP           25.0",
        "AP50        100.0",
    ]


def test_metrics_become_json_with_null_for_nan():
    metrics = {"AP": np.float64(0.5), "per_class": {"cat": math.nan, "dog": np.float32(1)}}
    text = json.dumps(metrics_to_json(metrics), allow_nan=False)
    assert json.loads(text) == {"AP": 0.5, "per_class": {"cat": None, "dog": 1.0}}
