"""What every evaluator does alike, and the overlaps they match boxes by."""

import math

import numpy as np
import pytest

from detkit.detections.overlap import pairwise_iou
from detkit.errors import DataError
from detkit.evaluate import COCOEvaluator, VOCEvaluator
from detkit.registry import EVALUATORS
from support.evaluation import Dataset, detected, square

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
