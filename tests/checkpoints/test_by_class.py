"""The figures of each class in a state.json: what an evaluation writes is accepted."""

import copy

import pytest

from detkit.checkpoints.by_class import is_by_class
from detkit.detections.of_dataset import paired
from detkit.evaluate import VOCEvaluator
from detkit.evaluate.choose import by_class
from support.evaluation import NAMES, random_case

ROW = {
    "AP": 0.5,
    "AP50": 0.5,
    "objects": 3,
    "score": 0.4,
    "precision": 1.0,
    "recall": 0.5,
    "F1": 0.6,
}
WHOLE = {
    "rule": "COCO",
    "threshold": {"scores": [0.4], "rule": "f1", "split": "val", "in_force": False},
    "classes": {"cat": ROW, "dog": ROW},
}


@pytest.mark.parametrize("detections", ["found", "none"])
def test_what_an_evaluation_finds(detections):
    dataset, found = random_case(0)
    assert paired(dataset, found)
    judged = VOCEvaluator().judge(dataset, found if detections == "found" else {})
    assert is_by_class(by_class(judged, NAMES, None, "val", "VOC area"))


def test_an_evaluator_without_hits_finds_nothing():
    assert is_by_class({})


WRONG = {
    "a list": [],
    "another key": {**WHOLE, "AP": 0.5},
    "no classes": {"rule": "COCO"},
    "a rule of numbers": {**WHOLE, "rule": 7},
    "a row of text": {**WHOLE, "classes": {"cat": "good"}},
    "a row without F1": {**WHOLE, "classes": {"cat": {k: 0.5 for k in ROW if k != "F1"}}},
    "a figure of text": {**WHOLE, "classes": {"cat": {**ROW, "AP": "0.5"}}},
    "no threshold": {**WHOLE, "threshold": None},
    "a threshold of three": {**WHOLE, "threshold": {**WHOLE["threshold"], "scores": [0.1] * 3}},
    "in force or not": {**WHOLE, "threshold": {**WHOLE["threshold"], "in_force": 1}},
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_makes_no_sense(kind):
    assert is_by_class(copy.deepcopy(WHOLE))
    assert not is_by_class(WRONG[kind])
