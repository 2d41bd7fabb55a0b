"""COCOEvaluator against numbers counted by hand."""

import math

import pytest

from detkit.evaluate import COCOEvaluator
from support.evaluation import Dataset, detected, square


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
        "small": detected((square(0, side=20), 0.9, 0)),
        "medium": detected(((0, 0, 50, 40), 0.8, 0)),  # IoU 0.8: a hit at 7 of 10 thresholds
        "large": detected(((0, 0, 98, 49), 0.7, 1)),  # IoU 0.5: at one
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
    detections = {1: detected((square(0), 0.5, 2), (square(60), 0.9, 2))}
    metrics = COCOEvaluator()(dataset, detections)
    assert metrics["AP"] == metrics["AP50"] == pytest.approx(0.5)
    assert metrics["AR100"] == pytest.approx(1)


def test_the_annotated_area_tells_small_from_large():
    """A thin object has a large box and a small area, and is one of COCO's small ones."""
    objects = {1: [(square(0, side=98), 0)]}
    detections = {1: detected((square(0, side=98), 0.9, 0))}
    by_box = COCOEvaluator()(Dataset(objects), detections)
    assert by_box["APl"] == pytest.approx(1)
    assert math.isnan(by_box["APs"])
    by_area = COCOEvaluator()(Dataset(objects, areas={1: [500]}), detections)
    assert by_area["APs"] == pytest.approx(1)
    assert math.isnan(by_area["APl"])
