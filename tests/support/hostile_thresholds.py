"""Thresholds in model.json that no export has: those of a detector of three classes."""

import math


def threshold(**changes):
    """A change of model.json: gives it a threshold with these values instead of the right ones."""
    return whole({"scores": [0.5], "rule": "f1", "split": "val", **changes})


def whole(value):
    return lambda content: content.update(threshold=value)


SCORES = {
    "no score": [],
    "two scores": [0.5, 0.5],
    "a score of 2": [2],
    "a score above 1": [0.5, 1.5, 0.5],
    "a score below 0": [0.5, -0.1, 0.5],
    "a score that is a text": ["0.5"],
    "a score that is true": [True],
    "a score that is null": [None, 0.5, 0.5],
    "a score that is a list": [[0.5]],
}

THRESHOLDS = {
    **{
        f"a threshold of {name}": (threshold(scores=scores), ("threshold", "0 to 1"))
        for name, scores in SCORES.items()
    },
    "a threshold of nan": (threshold(scores=[math.nan]), ()),  # that is no JSON
    "a threshold of a text": (threshold(scores="0.5"), ("threshold",)),
    "a threshold of one number alone": (threshold(scores=0.5), ("threshold",)),
    "a threshold that is a number": (whole(0.5), ("threshold", "object")),
    "a threshold that is a text": (whole("0.5"), ("threshold", "object")),
    "a threshold that is a list": (whole([0.5]), ("threshold", "object")),
    "a threshold without a rule": (whole({"scores": [0.5]}), ("threshold",)),
    "a threshold of a key more": (threshold(more=1), ("threshold", "0 to 1")),
    "a threshold of a long rule": (threshold(rule="x" * 1025), ("threshold", "1024")),
    "a threshold of a split that is null": (threshold(split=None), ("threshold",)),
}
