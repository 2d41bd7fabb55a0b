"""ProposalEvaluator against numbers counted by hand and against pycocotools."""

import contextlib
import io
import math

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from detkit.evaluate import ProposalEvaluator, format_table
from detkit.evaluate.coco import coco_entries, coco_index
from detkit.registry import EVALUATORS
from support.evaluation import Dataset, detected, random_case, square


def coco_recall(dataset, detections, limits):
    """AR at each limit by COCO's own code, classes put together."""
    truths, results = [], []
    for index in range(len(dataset)):
        annotation = dataset.annotation(index)
        of_image = detections[annotation.image_id]
        labels, crowds = annotation.labels, annotation.difficult
        truths.append(coco_entries(index + 1, annotation.boxes, labels, iscrowd=crowds))
        results.append(
            coco_entries(index + 1, of_image.boxes, of_image.labels, score=of_image.scores)
        )
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(coco_index(truths, 3), coco_index(results, 3), "bbox")
        evaluation.params.useCats, evaluation.params.maxDets = 0, list(limits)
        evaluation.evaluate()
        evaluation.accumulate()
    # recall: (IoU thresholds, K = 1, areas from all, limits)
    return evaluation.eval["recall"][:, 0, 0, :].mean(axis=0)


@pytest.mark.parametrize("seed", range(8))
def test_it_is_cocos_average_recall(seed):
    dataset, detections = random_case(seed, images=8, objects=6)
    limits = (1, 3, 100)
    metrics = ProposalEvaluator(limits)(dataset, detections)
    assert list(metrics) == ["AR1", "AR3", "AR100"]
    np.testing.assert_allclose(list(metrics.values()), coco_recall(dataset, detections, limits))
    assert 0 < metrics["AR1"] < metrics["AR100"] < 1


def test_counted_by_hand():
    dataset = Dataset({"a": [(square(0), 0), (square(30), 2)], "b": [(square(0), 1)], "c": []})
    detections = {
        # The label is another, and the second of the two finds nothing that is left.
        "a": detected(
            (square(0), 0.9, 1), (square(0), 0.8, 1), ((30, 0, 40, 6), 0.7, 0)
        ),  # IoU 0.6
        "c": detected((square(0), 1.0, 0)),
    }
    metrics = ProposalEvaluator(limits=(1, 2, 3))(dataset, detections)
    assert metrics == pytest.approx({"AR1": 1 / 3, "AR2": 1 / 3, "AR3": (1 + 0.3) / 3})


def test_difficult_objects_are_not_looked_for():
    dataset = Dataset({"a": [(square(0), 0, True), (square(30), 0)]})
    evaluate = ProposalEvaluator(limits=(2,), ious=(0.5,))
    assert evaluate(dataset, {"a": detected((square(0), 0.9, 0))}) == {"AR2": 0}
    assert evaluate(dataset, {"a": detected((square(30), 0.9, 0))}) == {"AR2": 1}


def test_without_objects_there_is_no_recall():
    assert math.isnan(ProposalEvaluator((5,))(Dataset({"a": []}), {})["AR5"])


def test_its_main_number_is_that_of_the_largest_limit():
    assert ProposalEvaluator().main == "AR1000"
    assert ProposalEvaluator(limits=(50, 10)).main == "AR50"
    assert EVALUATORS.build({"type": "ProposalEvaluator", "limits": [10]}).main == "AR10"


def test_a_table_without_classes():
    table = format_table({"AR100": 0.5, "AR1000": float("nan")}).splitlines()
    assert [line.split() for line in table] == [["AR100", "50.0"], ["AR1000", "-"]]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"limits": ()}, r"limits: .*at least 1, found \[\]"),
        ({"limits": (0, 5)}, r"limits: .*found \[0, 5\]"),
        ({"ious": (0.5, 1.5)}, r"ious: .*\(0, 1\], found \[0.5, 1.5\]"),
    ],
)
def test_arguments_are_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        ProposalEvaluator(**wrong)
