"""The recall of proposals against numbers counted by hand and against pycocotools."""

import contextlib
import io
import math

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from detkit.evaluate import ProposalEvaluator, format_table
from detkit.evaluate.coco import coco_entries, coco_index
from detkit.evaluate.recall import recall_table
from detkit.registry import EVALUATORS
from support.evaluation import Dataset, detected, random_case, square

SUFFIXES = ("", "s", "m", "l")


def coco_recalls(dataset, detections, limits):
    """AR and the recall at IoU 0.5 and 0.7 by COCO's own code, classes put together, by name."""
    truths, results = [], []
    for index in range(len(dataset)):
        annotation = dataset.annotation(index)
        of_image = detections[annotation.image_id]
        fields = {} if annotation.areas is None else {"area": annotation.areas}
        fields["iscrowd"] = annotation.difficult
        truths.append(coco_entries(index + 1, annotation.boxes, annotation.labels, **fields))
        results.append(
            coco_entries(index + 1, of_image.boxes, of_image.labels, score=of_image.scores)
        )
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(coco_index(truths, 3), coco_index(results, 3), "bbox")
        evaluation.params.useCats, evaluation.params.maxDets = 0, list(limits)
        evaluation.evaluate()
        evaluation.accumulate()
    # recall: (IoU thresholds, K = 1, areas all, small, medium, large, limits); -1 if no objects
    recall = evaluation.eval["recall"][:, 0]
    recall = np.where(recall == -1, np.nan, recall)
    columns = [(column, limit) for column, limit in enumerate(limits)]
    means = {
        f"AR{limit}{suffix}": recall[:, size, column].mean()
        for size, suffix in enumerate(SUFFIXES)
        for column, limit in columns
    }
    rows = {50: 0, 70: 4}  # of the thresholds 0.5, 0.55, ...
    at = {f"R{t}@{limit}": recall[rows[t], 0, column] for t in rows for column, limit in columns}
    return {**means, **at}


@pytest.mark.parametrize("annotated", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_it_is_cocos_recall(seed, annotated):
    """Areas that are annotated are those of masks, and may lie on the border of two sizes."""
    areas = None
    if annotated:
        rng = np.random.default_rng(seed)
        areas = {image: rng.choice([9, 32**2, 50**2, 96**2, 99**2], 6) for image in range(8)}
    dataset, detections = random_case(seed, images=8, objects=6, areas=areas)
    limits = (1, 3, 100)
    metrics = ProposalEvaluator(limits)(dataset, detections)
    expected = coco_recalls(dataset, detections, limits)
    assert list(metrics) == list(expected)
    np.testing.assert_allclose(list(metrics.values()), list(expected.values()))
    assert 0 < metrics["AR1"] < metrics["AR100"] < 1
    assert math.isnan(metrics["AR1l"]) != annotated


def test_counted_by_hand():
    dataset = Dataset({"a": [(square(0), 0), (square(30), 2)], "b": [(square(0), 1)], "c": []})
    detections = {
        # The label is another, and the second of the two finds nothing that is left.
        "a": detected(
            (square(0), 0.9, 1), (square(0), 0.8, 1), ((30, 0, 40, 6), 0.7, 0)
        ),  # IoU 0.6
        "c": detected((square(0), 1.0, 0)),
    }
    metrics = ProposalEvaluator(limits=(1, 2, 3), at=(0.6,))(dataset, detections)
    recalls = {"AR1": 1 / 3, "AR2": 1 / 3, "AR3": (1 + 0.3) / 3}
    small = {f"{name}s": recall for name, recall in recalls.items()}
    at = {"R60@1": 1 / 3, "R60@2": 1 / 3, "R60@3": 2 / 3}
    found = {name: value for name, value in metrics.items() if name[-1] not in "ml"}
    assert found == pytest.approx({**recalls, **small, **at})
    assert all(math.isnan(metrics[name]) for name in set(metrics) - set(found))


def test_difficult_objects_are_not_looked_for():
    dataset = Dataset({"a": [(square(0), 0, True), (square(30), 0)]})
    evaluate = ProposalEvaluator(limits=(2,), ious=(0.5,))
    assert evaluate(dataset, {"a": detected((square(0), 0.9, 0))})["AR2"] == 0
    assert evaluate(dataset, {"a": detected((square(30), 0.9, 0))})["AR2"] == 1


def test_without_objects_there_is_no_recall():
    assert math.isnan(ProposalEvaluator((5,))(Dataset({"a": []}), {})["AR5"])


def test_its_main_number_is_that_of_the_largest_limit():
    assert ProposalEvaluator().main == "AR1000"
    assert ProposalEvaluator(limits=(50, 10)).main == "AR50"
    assert EVALUATORS.build({"type": "ProposalEvaluator", "limits": [10]}).main == "AR10"


def test_the_table_counts_by_hand():
    """Of two small and one large object; the second proposal of "a" has IoU 0.6."""
    large = (100, 100, 200, 200)
    dataset = Dataset({"a": [(square(0), 0), (square(30), 0)], "b": [(large, 0)]})
    detections = {
        "a": detected((square(0), 0.9, 0), ((30, 0, 40, 6), 0.8, 0)),
        "b": detected(*[(square(i), 0.9, 0) for i in range(30)], (large, 0.1, 0)),
    }
    rows = [line.split() for line in recall_table(dataset, detections, (1, 30, np.inf)).split("\n")]
    sizes = ["all", "small", "medium", "large"]
    assert rows == [
        ["IoU", *["0.5"] * 4, *["0.7"] * 4],
        ["proposals", *sizes, *sizes],
        ["objects", *["3", "2", "0", "1"] * 2],
        ["1", *["33.3", "50.0", "-", "0.0"] * 2],
        ["30", "66.7", "100.0", "-", "0.0", "33.3", "50.0", "-", "0.0"],
        ["all", "100.0", "100.0", "-", "100.0", "66.7", "50.0", "-", "100.0"],
    ]


def test_the_table_and_the_evaluator_agree():
    dataset, detections = random_case(3)
    metrics = ProposalEvaluator((10, 100))(dataset, detections)
    rows = [line.split() for line in recall_table(dataset, detections).split("\n")]
    (ten,) = (row for row in rows if row[0] == "10")
    assert [ten[1], ten[5]] == [f"{100 * metrics[name]:.1f}" for name in ("R50@10", "R70@10")]


def test_a_table_without_classes():
    table = format_table({"AR100": 0.5, "AR1000": float("nan")}).splitlines()
    assert [line.split() for line in table] == [["AR100", "50.0"], ["AR1000", "-"]]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"limits": ()}, r"limits: .*at least 1, found \[\]"),
        ({"limits": (0, 5)}, r"limits: .*found \[0, 5\]"),
        ({"ious": ()}, r"ious: .*\(0, 1\], found \[\]"),
        ({"at": (0,)}, r"at: .*\(0, 1\], found \[0\]"),
        ({"ious": (0.5, 1.5)}, r"ious: .*\(0, 1\], found \[0.5, 1.5\]"),
    ],
)
def test_arguments_are_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        ProposalEvaluator(**wrong)
