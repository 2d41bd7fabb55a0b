"""What every evaluator does alike, and the overlaps they match boxes by."""

import json
import math
import re

import numpy as np
import pytest

from detkit.detections.overlap import pairwise_iou
from detkit.errors import DataError
from detkit.evaluate import COCOEvaluator, VOCEvaluator
from detkit.evaluate.choose import by_class
from detkit.evaluate.metrics import format_table, metrics_to_json
from detkit.registry import EVALUATORS
from detkit.threshold import Threshold
from support.evaluation import NAMES, Dataset, detected, random_case, square

EVERY = [VOCEvaluator(), VOCEvaluator("11point"), COCOEvaluator()]


@pytest.mark.parametrize("evaluator", EVERY)
class TestEveryEvaluator:
    def test_the_truth_itself_scores_one(self, evaluator):
        dataset = Dataset({i: [(square(30 * k, 30 * i), k) for k in range(3)] for i in range(3)})
        detections = {
            i: detected(*((square(30 * k, 30 * i), 0.9, k) for k in range(3))) for i in range(3)
        }
        metrics = evaluator(dataset, detections)
        assert metrics["AP"] == pytest.approx(1)
        assert list(metrics["per_class"].values()) == pytest.approx([1, 1, 1])

    @pytest.mark.parametrize("detections", [{}, {"a": detected()}])
    def test_no_detections_score_zero_and_classes_without_truth_nan(self, evaluator, detections):
        metrics = evaluator(Dataset({"a": [(square(0), 0), (square(0), 2, True)]}), detections)
        assert metrics["AP"] == metrics["AP50"] == metrics["per_class"]["cat"] == 0
        assert math.isnan(metrics["per_class"]["dog"])
        assert math.isnan(metrics["per_class"]["owl"])

    def test_a_class_without_truth_is_left_out_of_the_means(self, evaluator):
        dataset = Dataset({"a": [(square(0), 0)]})
        detections = {"a": detected((square(0), 0.9, 0), (square(40), 0.95, 1))}
        assert evaluator(dataset, detections)["AP"] == pytest.approx(1)

    def test_without_any_truth_all_is_nan(self, evaluator):
        metrics = evaluator(Dataset({"a": []}), {"a": detected((square(0), 0.9, 0))})
        assert math.isnan(metrics["AP"])
        assert math.isnan(metrics["AP50"])

    @pytest.mark.parametrize(
        ("detections", "fragments"),
        [
            ({"b": detected()}, ["dataset's 1 images", "1 other images", "'b'"]),
            ({"a": detected((square(0), 0.9, 3))}, ["image 'a': ", "from 0 to 2", "from 3 to 3"]),
            ({"a": detected((square(0), math.nan, 0))}, ["image 'a': ", "finite"]),
            ({"a": detected(names=("x", "y"))}, ["image 'a': ", "['cat', ", "['x', 'y']"]),
        ],
    )
    def test_detections_of_something_else_are_refused(self, evaluator, detections, fragments):
        with pytest.raises(DataError) as caught:
            evaluator(Dataset({"a": [(square(0), 0)]}), detections)
        for fragment in fragments:
            assert fragment in str(caught.value)

    def test_no_images_are_refused(self, evaluator):
        with pytest.raises(DataError, match="dataset: .*found none"):
            evaluator(Dataset({}), {})

    def test_an_image_twice_is_refused(self, evaluator):
        dataset = Dataset({"a": [], "b": []}, ids=["a", "a"])
        with pytest.raises(DataError, match="found 'a' twice"):
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
        detections = {i: detected(*row) for i, row in rows.items()}
        voc = VOCEvaluator()(Dataset(truth), detections)["AP50"]
        coco = COCOEvaluator()(Dataset(truth), detections)["AP50"]
        assert voc == pytest.approx(coco, abs=0.02)


def test_the_evaluators_are_registered():
    assert EVALUATORS.get("VOCEvaluator") is VOCEvaluator
    assert EVALUATORS.get("COCOEvaluator") is COCOEvaluator
    assert isinstance(EVALUATORS.build({"type": "VOCEvaluator", "style": "11point"}), VOCEvaluator)


def test_a_difficult_object_is_neither_a_hit_nor_a_false_alarm():
    dataset = Dataset({"a": [(square(0), 0), (square(50), 0, True)]})
    detections = {"a": detected((square(50), 0.9, 0), (square(51), 0.8, 0), (square(0), 0.7, 0))}
    for evaluator in (VOCEvaluator(), COCOEvaluator()):
        assert evaluator(dataset, detections)["AP50"] == pytest.approx(1)


def test_iou_of_empty_boxes_and_of_none():
    point = np.array([[5, 5, 5, 5]], np.float32)
    assert pairwise_iou(point, point)[0, 0] == 0
    assert pairwise_iou(point, np.zeros((0, 4), np.float32)).shape == (1, 0)
    shifted = pairwise_iou(np.array([square(0)]), np.array([square(5), square(20)]))
    np.testing.assert_allclose(shifted, [[1 / 3, 0]])


def test_a_table_has_the_figures_of_each_class_and_says_where_they_are():
    judged = VOCEvaluator().judge(*random_case(4))
    used = Threshold((0.25,), "recall=0.5", "val")
    plain = judged.metrics
    for threshold, about in (
        (used, "at a score of 0.250 (recall=0.5, chosen on val)"),
        (None, "which has the best F1 on test"),
    ):
        result = {**plain, **by_class(judged, NAMES, threshold, "test", "VOC area")}
        lines = format_table(result).splitlines()
        assert lines[0].startswith("precision, recall and F1 at a score of ") and about in lines[0]
        head = ["class", "AP50 %, VOC area", "objects", "precision %", "recall %", "F1 %"]
        assert re.split(" {2,}", lines[1]) == head
        for line, name in zip(lines[3:6], NAMES):
            row = result["classes"][name]
            shares = [row[key] for key in ("AP50", "precision", "recall", "F1")]
            shown = ["-" if math.isnan(each) else f"{100 * each:.1f}" for each in shares]
            assert line.split() == [name, shown[0], str(row["objects"]), *shown[1:]]
        assert lines[-1].split() == ["AP50", f"{100 * plain['AP50']:.1f}"]
    assert format_table(plain).splitlines()[0].split() == ["class", "AP50", "%"]
    assert format_table({"recall": 0.5}).split() == ["recall", "50.0"]


def test_a_result_becomes_values_of_json():
    judged = COCOEvaluator().judge(*random_case(4))
    result = {**judged.metrics, **by_class(judged, NAMES, None, "val", "COCO")}
    result["classes"]["owl"]["precision"] = np.float64("nan")
    value = metrics_to_json(result)
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert value["rule"] == "COCO" and value["threshold"]["in_force"] is False
    assert value["threshold"]["scores"] == result["threshold"]["scores"]
    assert value["classes"]["owl"]["precision"] is None
    assert type(value["classes"]["cat"]["objects"]) is int
