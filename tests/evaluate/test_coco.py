"""COCOEvaluator against numbers counted by hand, and against pycocotools to 1e-12."""

import math

import numpy as np
import pytest

from detkit import segmentations
from detkit.data.readers import COCO
from detkit.detections import Detections
from detkit.detections.of_dataset import paired
from detkit.evaluate import COCOEvaluator
from detkit.evaluate.coco import entries_of, evaluate
from support.coco_reference import CASES, by_pycocotools
from support.environment import SHARED
from support.evaluation import NAMES, Dataset, detected, square

SMALL = SHARED / "data" / "coco_small"


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


def assert_same(found, expected):
    """Whether two evaluations have the same arrays and the same means."""
    for name in ("precision", "recall", "scores"):
        np.testing.assert_allclose(found.eval[name], expected.eval[name], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.stats, expected.stats, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dataset, detections", CASES)
def test_the_evaluation_of_boxes_is_that_of_pycocotools(dataset, detections):
    entries = entries_of(paired(dataset, detections))
    found = evaluate(*entries, len(NAMES), "bbox")
    assert_same(found, by_pycocotools(*entries, len(NAMES), "bbox"))


@pytest.mark.skipif(not SMALL.is_dir(), reason=f"{SMALL} is not there")
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_the_evaluation_of_coco_is_that_of_pycocotools(kind):
    """The objects of 50 images moved a little, two for each; crowds are among them."""
    rng = np.random.default_rng(0)
    dataset = COCO(str(SMALL / "annotations/instances_val2017.json"), str(SMALL / "val2017"))
    detections, masks = {}, []
    for index in range(len(dataset)):
        annotation, planes = dataset.annotation(index), dataset.masks(index)
        masks.append([segmentations.encode(plane) for plane in planes])
        shift = rng.integers(-6, 7)
        detections[annotation.image_id] = Detections(
            np.concatenate([annotation.boxes, annotation.boxes + shift]),
            rng.integers(0, 50, 2 * len(planes)).astype(np.float32) / 50,
            np.tile(annotation.labels, 2),
            dataset.class_names,
            image_size=planes.shape[1:],
            rles=[*masks[-1], *(segmentations.encode(np.roll(p, shift, 1)) for p in planes)],
        )
    pairs, classes = paired(dataset, detections), len(dataset.class_names)
    assert sum(annotation.difficult.sum() for annotation, _ in pairs)
    truths, results = entries_of(pairs)
    if kind == "segm":
        for entries, rles in zip(truths, masks):
            for entry, rle in zip(entries, rles):
                entry["segmentation"] = rle
        for entries, (_, detected_) in zip(results, pairs):
            for entry, rle in zip(entries, detected_.rles):
                entry["segmentation"] = rle
    found = evaluate(truths, results, classes, kind)
    assert 0.3 < found.stats[0] < 1
    assert_same(found, by_pycocotools(truths, results, classes, kind))
