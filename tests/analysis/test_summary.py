"""A summary: its keys, its values of JSON, and its figures beside those of the evaluators."""

import json

import numpy as np
import pytest

from detkit.analysis import summarise
from detkit.evaluate import COCOEvaluator, VOCEvaluator, metrics_to_json
from support.evaluation import NAMES, Dataset, random_case

KEYS = {
    *("version", "name", "split", "rule", "images", "objects", "difficult", "class_names"),
    *("metrics", "threshold", "classes", "curves", "confusion", "calibration", "errors", "boxes"),
    *("examples", "speed", "curves_of_training", "about"),
}
EVALUATORS = {"voc": VOCEvaluator, "coco": COCOEvaluator}


@pytest.fixture(scope="module")
def case():
    return random_case(3, images=30)


@pytest.mark.parametrize("rule", EVALUATORS)
def test_the_figures_are_those_of_the_evaluators(case, rule):
    summary = summarise(*case, rule=rule)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert set(summary) == KEYS
    for name, evaluator in EVALUATORS.items():
        expected = evaluator()(*case)
        per_class = expected.pop("per_class")
        assert summary["metrics"][name] == pytest.approx(metrics_to_json(expected), abs=1e-12)
        if name == rule:
            ap50 = {one["name"]: one["ap50"] for one in summary["classes"]}
            assert ap50 == pytest.approx(per_class, abs=1e-12)
            ap = np.mean([one["ap"] for one in summary["classes"]])
            assert ap == pytest.approx(expected["AP"], abs=1e-12)


def test_the_threshold_of_a_detector_chooses_the_examples(case):
    at_best, at_other = summarise(*case), summarise(*case, threshold=0.9)
    assert at_other["threshold"] == 0.9 != at_best["threshold"]
    assert at_other["boxes"] != at_best["boxes"]
    assert at_other["curves"] == at_best["curves"]


@pytest.mark.parametrize("rule", EVALUATORS)
def test_the_parts_fit_each_other(case, rule):
    summary = summarise(*case, rule=rule)
    objects = [one["objects"] for one in summary["classes"]]
    counts = np.array(summary["confusion"]["counts"])
    assert (counts[:, :-1].sum(2) == objects).all()
    assert sum(objects) == summary["objects"] == summary["curves"][0]["objects"]
    assert sum(size["objects"] for size in summary["boxes"].values()) == summary["objects"]
    assert [one["name"] for one in summary["curves"]] == ["all", *NAMES]
    f1 = summary["curves"][0]["f1"]
    assert summary["curves"][0]["scores"][int(np.argmax(f1))] == summary["threshold"]
    detections = sum(one["detections"] for one in summary["classes"])
    assert sum(one["count"] for one in summary["calibration"]["bins"]) == detections
    annotations = [case[0].annotation(index) for index in range(len(case[0]))]
    assert summary["difficult"] == sum(int(one.difficult.sum()) for one in annotations) > 0


def test_what_the_detections_do_not_tell_is_taken_over(case):
    speed, training, about = {"images_per_second": 3.0}, [{"name": "loss"}], {"checkpoint": "a"}
    summary = summarise(*case, "voc", "mine", "test", speed, training, about)
    assert (summary["name"], summary["split"], summary["rule"]) == ("mine", "test", "voc")
    assert (summary["speed"], summary["about"]) == (speed, about)
    assert summary["curves_of_training"] == training


@pytest.mark.parametrize("rule", EVALUATORS)
@pytest.mark.parametrize("objects", [[], random_case(3)[0]], ids=["no objects", "objects"])
def test_without_detections_the_figures_are_none(rule, objects):
    dataset = objects or Dataset({1: [], 2: []})
    summary = summarise(dataset, {}, rule=rule)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["calibration"]["ece"] is None
    assert summary["errors"]["ap50"] == (0 if objects else None)
    assert summary["classes"][0]["best_f1"]["threshold"] is None


def test_an_unknown_rule_is_refused(case):
    with pytest.raises(ValueError, match="rule: expected one of .*'voc'.*, found 'VOC'"):
        summarise(*case, rule="VOC")
