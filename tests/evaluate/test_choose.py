"""The choice of a threshold, against a search over every score between two detections."""

import math

import numpy as np
import pytest

from detkit.errors import DataError
from detkit.evaluate import COCOEvaluator, VOCEvaluator
from detkit.evaluate.choose import by_class, choose, figures_at, threshold_by
from detkit.evaluate.hits import ClassHits, pooled
from detkit.evaluate.judged import Judged
from detkit.threshold import Rule, Threshold
from support.evaluation import NAMES, Dataset, detected, random_case, square

RULES = [Rule("f1"), Rule("precision", 0.6), Rule("recall", 0.3)]
EVALUATORS = [VOCEvaluator(), COCOEvaluator()]


def candidates(scores):
    """A score between each two that differ, below the last, and above the first."""
    levels = sorted({0.0, *scores.tolist()})
    return [(low + high) / 2 for low, high in zip(levels, levels[1:])]


def counted(hits, score):
    """Precision, recall and F1 by counting one detection after the other."""
    kept = [bool(hit) for hit, own in zip(hits.hit, hits.scores) if own >= score]
    found = sum(kept)
    precision, recall = found / len(kept) if kept else 0, found / hits.objects
    return precision, recall, 2 * precision * recall / (precision + recall) if found else 0


def searched(hits, rule):
    """The threshold by a search over all candidates."""
    figures = {score: counted(hits, score) for score in candidates(hits.scores)}
    if rule.kind == "f1":
        best = max(f1 for *_, f1 in figures.values())
        return max(score for score, (*_, f1) in figures.items() if math.isclose(f1, best))
    if rule.kind == "precision":
        return min((s for s, (p, *_) in figures.items() if p >= rule.least), default=None)
    return max((s for s, (_, r, _) in figures.items() if r >= rule.least), default=None)


def drawn(seed, ties=False):
    """Hits and false alarms by chance, a hit the likelier the higher its score."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 40))
    scores = np.sort(rng.random(count).astype(np.float32).astype(float))[::-1]
    scores = np.ceil(10 * scores) / 10 if ties else scores
    hit = rng.random(count) < scores
    hit[0] = True
    return ClassHits(scores, hit, int(hit.sum()) + int(rng.integers(5)))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_score_is_that_of_a_search_over_all(rule, ties):
    reached = 0
    for seed in range(60):
        hits = drawn(seed, ties)
        expected = searched(hits, rule)
        if expected is None:
            with pytest.raises(DataError, match="no threshold is written"):
                choose(hits, rule)
            continue
        reached += 1
        assert choose(hits, rule) == pytest.approx(expected, abs=1e-15)
        precision, recall, f1 = counted(hits, expected)
        assert figures_at(hits, expected) == pytest.approx((precision, recall, f1))
    assert reached > 20


def test_the_score_lies_midway_between_what_is_kept_and_what_is_not():
    hits = ClassHits(np.array([0.9, 0.8, 0.3]), np.array([True, True, False]), 2)
    for rule in (Rule("f1"), Rule("precision", 1.0), Rule("recall", 1.0)):
        assert choose(hits, rule) == pytest.approx(0.55)
    assert choose(hits, Rule("precision", 0.5)) == pytest.approx(0.15)  # all, down to 0


def test_a_rule_that_nothing_fulfils_names_the_best_that_is_reached():
    hits = ClassHits(np.array([0.9, 0.8, 0.3]), np.array([False, True, False]), 4)
    with pytest.raises(DataError) as caught:
        choose(hits, Rule("precision", 0.95))
    message = str(caught.value)
    assert "threshold precision=0.95: expected a precision of at least 0.95" in message
    assert "found 0.5 at the most, at a score of 0.800" in message
    with pytest.raises(DataError, match=r"recall of at least 0.5 .*found 0.25 at the most"):
        choose(hits, Rule("recall", 0.5))


@pytest.mark.parametrize(
    "hits",
    [
        ClassHits(np.zeros(0), np.zeros(0, bool), 3),
        ClassHits(np.array([0.5]), np.array([False]), 0),
        ClassHits(np.array([0.5]), np.array([False]), 3),
    ],
)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_nothing_is_chosen_where_nothing_is_found(hits, rule):
    with pytest.raises(DataError, match="no threshold is written"):
        choose(hits, rule)


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda one: one.rule)
def test_classes_are_pooled_or_have_a_score_each(evaluator):
    judged = evaluator.judge(*random_case(1))
    together = threshold_by(RULES[0], judged.hits, NAMES, "val")
    assert together == Threshold((searched(pooled(judged.hits), RULES[0]),), "f1", "val")
    each = threshold_by(RULES[0], judged.hits, NAMES, "val", per_class=True)
    assert each.scores == tuple(searched(hits, RULES[0]) for hits in judged.hits)


def test_a_class_without_objects_gets_the_score_of_all():
    dataset = Dataset({1: [(square(0), 0), (square(40), 1)]})
    detections = {1: detected((square(0), 0.9, 0), (square(40), 0.5, 1), (square(9), 0.2, 2))}
    hits = VOCEvaluator().judge(dataset, detections).hits
    found = threshold_by(Rule("f1"), hits, NAMES, "val", per_class=True)
    assert found.scores == pytest.approx((0.45, 0.25, 0.35))


def test_a_class_that_cannot_fulfil_the_rule_is_named():
    dataset = Dataset({1: [(square(0), 0), (square(40), 1)]})
    detections = {1: detected((square(0), 0.9, 0), (square(60), 0.5, 1))}
    hits = VOCEvaluator().judge(dataset, detections).hits
    for rule in RULES[1:]:
        with pytest.raises(DataError, match="the class 'dog', found 1 objects, 1 detections"):
            threshold_by(rule, hits, NAMES, "val", per_class=True)
    found = threshold_by(Rule("f1"), hits, NAMES, "val", per_class=True)
    assert found.scores == pytest.approx((0.45, 0.7, 0.7))  # no F1 of dogs is better than another


def test_an_evaluator_without_hits_is_refused():
    with pytest.raises(DataError, match="expected an evaluator that knows its hits"):
        threshold_by(Rule("f1"), Judged({}).hits, NAMES, "val")


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda one: one.rule)
def test_each_class_has_its_figures_at_the_threshold_in_force(evaluator):
    judged = evaluator.judge(*random_case(4))
    used = Threshold((0.2, 0.5, 0.9), "recall=0.5", "val")
    beside = by_class(judged, NAMES, used, "test", evaluator.rule)
    assert beside["threshold"] == {**used.to_json(), "in_force": True}
    assert beside["rule"] == evaluator.rule
    for label, name in enumerate(NAMES):
        row, hits = beside["classes"][name], judged.hits[label]
        assert (row["AP50"], row["AP"]) == (judged.metrics["per_class"][name], judged.ap[label])
        assert (row["objects"], row["score"]) == (hits.objects, used.scores[label])
        expected = counted(hits, used.scores[label])
        found = [0 if math.isnan(row[key]) else row[key] for key in ("precision", "recall", "F1")]
        assert found == pytest.approx(expected)


def test_without_a_threshold_the_figures_are_those_of_the_best_f1():
    judged = VOCEvaluator().judge(*random_case(4))
    beside = by_class(judged, NAMES, None, "val", "VOC area")
    score = searched(pooled(judged.hits), Rule("f1"))
    expected = {"scores": [score], "rule": "f1", "split": "val", "in_force": False}
    assert beside["threshold"] == expected
    assert by_class(Judged({"AP": 1.0}), NAMES, None, "val", "") == {}


def test_without_a_hit_the_classes_have_their_ap_and_objects():
    nothing = Judged(
        {"per_class": {"cat": 0.0}}, [ClassHits(np.zeros(0), np.zeros(0, bool), 4)], [0]
    )
    beside = by_class(nothing, ("cat",), None, "val", "COCO")
    assert "threshold" not in beside
    row = beside["classes"]["cat"]
    assert (row["AP"], row["AP50"], row["objects"]) == (0, 0, 4)
    assert all(math.isnan(row[name]) for name in ("score", "precision", "recall", "F1"))
    used = Threshold((0.5,), "f1", "val")
    row = by_class(nothing, ("cat",), used, "val", "COCO")["classes"]["cat"]
    assert (row["score"], row["recall"], row["F1"]) == (0.5, 0, 0)
