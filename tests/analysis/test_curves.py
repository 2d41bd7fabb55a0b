"""Curves: their areas are the evaluators' APs, and a thinned curve says the same."""

import numpy as np
import pytest

from detkit.analysis.curves import (
    POINTS,
    STEP,
    area,
    as_written,
    best_f1,
    curve_of,
    mean_precision,
    thinned,
)
from detkit.evaluate import COCOEvaluator, VOCEvaluator
from detkit.evaluate.hits import ClassHits
from support.evaluation import NAMES, random_case

AREAS = [(VOCEvaluator(), area), (COCOEvaluator(), mean_precision)]


def drawn_hits(seed, count, objects=None, digits=8):
    random = np.random.default_rng(seed)
    scores = np.sort(random.random(count).round(digits).astype(np.float32))[::-1]
    hit = random.random(count) < scores
    return ClassHits(scores, hit, int(hit.sum()) + 20 if objects is None else objects)


@pytest.mark.parametrize("evaluator, of_curve", AREAS, ids=["voc", "coco"])
@pytest.mark.parametrize("seed", range(6))
def test_the_area_is_the_ap_of_the_evaluator(evaluator, of_curve, seed):
    judged = evaluator.judge(*random_case(seed, images=20))
    expected = [judged.metrics["per_class"][name] for name in NAMES]
    assert [of_curve(hits) for hits in judged.hits] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("of_curve", [area, mean_precision])
def test_there_is_no_area_without_objects(of_curve):
    assert np.isnan(of_curve(drawn_hits(0, 5, objects=0)))
    assert of_curve(drawn_hits(0, 0, objects=3)) == 0


def test_a_threshold_takes_all_detections_of_its_score():
    hits = drawn_hits(1, 300, digits=1)
    curve = curve_of(hits)
    assert len(curve.scores) == len(set(hits.scores)) < 12
    for row, score in enumerate(curve.scores):
        taken = hits.hit[hits.scores >= score]
        precision, recall = taken.mean(), taken.sum() / hits.objects
        assert curve.precision[row] == pytest.approx(precision)
        assert curve.recall[row] == pytest.approx(recall)
        f1 = 2 * precision * recall / (precision + recall) if taken.any() else 0
        assert curve.f1[row] == pytest.approx(f1)


def test_the_best_f1_is_the_highest_threshold_that_has_it():
    curve = curve_of(ClassHits(np.array([0.9, 0.6, 0.5, 0.4]), np.array([1, 0, 0, 1]) > 0, 2))
    # F1: 2/3, 2/4, 2/5, 4/6
    expected = {"threshold": 0.9, "precision": 1, "recall": 0.5, "f1": pytest.approx(2 / 3)}
    assert best_f1(curve) == expected
    for empty in (drawn_hits(0, 5, objects=0), drawn_hits(0, 0, objects=5)):
        assert set(best_f1(curve_of(empty)).values()) == {None}


@pytest.mark.parametrize("count", [POINTS, 3000, 50000])
def test_a_thinned_curve_is_exact_at_every_multiple_of_the_step(count):
    whole = curve_of(drawn_hits(4, count))
    thin = thinned(whole)
    assert len(thin.scores) <= POINTS
    assert best_f1(thin) == best_f1(whole)
    assert (thin.scores[0], thin.scores[-1]) == (whole.scores[0], whole.scores[-1])
    for threshold in (np.arange(1 / STEP + 1) * STEP).astype(np.float32):
        rows = [int((curve.scores >= threshold).sum()) - 1 for curve in (thin, whole)]
        if rows[1] >= 0:
            assert thin.hits[rows[0]] == whole.hits[rows[1]]
            assert thin.detections[rows[0]] == whole.detections[rows[1]]


def test_a_curve_of_too_few_points_is_refused():
    with pytest.raises(ValueError, match="points: expected at least 204, found 100"):
        thinned(curve_of(drawn_hits(4, 3000)), 100)


def test_the_json_has_no_nan_and_scores_as_they_were_written():
    curve = curve_of(ClassHits(np.array([0.35], np.float32), np.array([False]), 0))
    written = curve.to_json("cat")
    assert written["scores"] == [0.35]
    assert written["recall"] == written["f1"] == [None]
    assert (written["name"], written["hits"], written["detections"]) == ("cat", [0], [1])
    assert as_written(np.float32(0.1)) == 0.1
