"""Calibration: the bins counted one by one, and the error that follows from them."""

import numpy as np
import pytest

from detkit.analysis.calibration import calibration, calibration_error, reliability
from detkit.evaluate.hits import ClassHits


def drawn(seed=0, count=500):
    random = np.random.default_rng(seed)
    scores = np.sort(random.random(count).astype(np.float32))[::-1]
    return scores, random.random(count) < scores**2


def test_bins_and_error_are_those_of_a_loop():
    scores, hit = drawn()
    counts, means, precision = reliability(scores, hit)
    error = 0
    for number in range(10):
        own = [i for i, score in enumerate(scores) if number <= score * 10 < number + 1]
        assert counts[number] == len(own)
        assert means[number] == pytest.approx(scores[own].mean())
        assert precision[number] == pytest.approx(hit[own].mean())
        error += abs(scores[own].mean() - hit[own].mean()) * len(own) / len(scores)
    assert calibration_error(scores, hit) == pytest.approx(error)


def test_edges_are_in_the_upper_bin_and_outer_scores_in_the_outer_bins():
    scores = np.array([-0.5, 0, 0.1, 0.3, 1, 1.5], np.float32)
    counts, _, _ = reliability(scores, scores > 0)
    assert counts.tolist() == [2, 1, 0, 1, 0, 0, 0, 0, 0, 2]


def test_a_score_that_is_the_precision_has_no_error():
    assert calibration_error(np.full(4, 0.25), np.arange(4) == 0) == 0
    assert calibration_error(np.full(4, 1.0), np.zeros(4, bool)) == 1
    assert np.isnan(calibration_error(np.zeros(0), np.zeros(0, bool)))


def test_the_json_pools_the_classes_and_has_no_nan():
    scores, hit = drawn()
    first = ClassHits(scores[::2], hit[::2], 90)
    second = ClassHits(scores[1::2], hit[1::2], 90)
    nothing = ClassHits(np.zeros(0), np.zeros(0, bool), 3)
    found = calibration([first, second, nothing], ["a", "b", "c"])
    assert found["ece"] == pytest.approx(calibration_error(scores, hit))
    assert found["per_class"]["a"] == calibration_error(first.scores, first.hit)
    assert found["per_class"]["c"] is None
    assert [one["low"] for one in found["bins"]] == [0, *(k / 10 for k in range(1, 10))]
    assert sum(one["count"] for one in found["bins"]) == len(scores)
    empty = calibration([nothing], ["c"])
    assert (empty["ece"], empty["bins"][0]["precision"]) == (None, None)
