"""The threshold of a detector: its rules, what it keeps, and its form in JSON."""

import json

import numpy as np
import pytest

from detkit.threshold import Rule, Threshold, is_threshold, parse_rule, threshold_of
from support.evaluation import detected, square


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("f1", Rule("f1")),
        ("precision=0.95", Rule("precision", 0.95)),
        ("recall=.9", Rule("recall", 0.9)),
        ("recall=1", Rule("recall", 1.0)),
    ],
)
def test_a_rule_is_read_from_its_text(text, rule):
    assert parse_rule(text) == parse_rule(str(rule)) == rule


@pytest.mark.parametrize(
    "text",
    ["", "F1", "f1=0.5", "precision", "precision=", "precision=0", "recall=1.1", "recall=nan"],
)
def test_another_text_is_no_rule(text):
    with pytest.raises(ValueError, match=r"expected f1, precision=P or recall=R .*found") as caught:
        parse_rule(text)
    assert repr(text) in str(caught.value)


def found():
    return detected((square(0), 0.75, 0), (square(9), 0.5, 1), (square(20), 0.25, 2))


def test_it_keeps_what_reaches_the_score_of_its_class():
    one, each = Threshold((0.5,), "f1", "val"), Threshold((0.8, 0.5, 0.2), "f1", "val")
    assert one.keeps(found()).tolist() == [True, True, False]
    assert each.keeps(found()).tolist() == [False, True, True]
    assert [one.of(label) for label in range(3)] == [0.5] * 3
    assert [each.of(label) for label in range(3)] == [0.8, 0.5, 0.2]
    assert one.keeps(found()[:0]).shape == each.keeps(found()[:0]).shape == (0,)


def test_a_score_between_two_neighbours_of_float32_separates_them():
    low = np.float32(0.3)
    high = np.nextafter(low, np.float32(1))
    middle = (float(low) + float(high)) / 2
    assert np.float32(middle) in (low, high)  # float32 cannot hold it
    rows = detected((square(0), high, 0), (square(9), low, 0))
    assert Threshold((middle,), "f1", "val").keeps(rows).tolist() == [True, False]


@pytest.mark.parametrize("scores", [(0.123456789012345678,), (0.0, 1.0, 0.5)])
def test_json_keeps_it_whole(scores):
    threshold = Threshold(scores, "recall=0.9", "val")
    value = json.loads(json.dumps(threshold.to_json()))
    assert is_threshold(value, classes=3)
    assert threshold_of(value) == threshold


def test_json_for_another_number_of_classes_is_refused():
    value = Threshold((0.1, 0.2, 0.3), "f1", "val").to_json()
    assert not is_threshold(value, classes=2)


def test_its_text_has_scores_rule_and_split():
    assert str(Threshold((0.43712,), "f1", "val")) == "a score of 0.437 (f1, chosen on val)"
    text = str(Threshold((0.25, 0.75), "recall=0.9", "test"))
    assert text == "scores of 0.250 to 0.750, one for each class (recall=0.9, chosen on test)"
