"""The threshold of a detector: the least scores of the detections that it returns, and its rule.

Checkpoints, exports and detectors share it. detkit/evaluate/choose.py chooses it. Command lines
read its rules, so that numpy is imported within functions.
"""

import math
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Protocol, Tuple

if TYPE_CHECKING:
    import numpy as np

F1, PRECISION, RECALL = "f1", "precision", "recall"
RULES = f"{F1}, {PRECISION}=P or {RECALL}=R with a number above 0 and up to 1"
LONGEST_TEXT = 1024  # bytes
UNCHOSEN = 0.5  # the least score of what is drawn for a detector without a threshold


class Scored(Protocol):
    """The protocol of the n detections of an image, with scores (n,) and labels (n,)."""

    @property
    def scores(self) -> "np.ndarray":
        """The score of each."""

    @property
    def labels(self) -> "np.ndarray":
        """The label of each."""


class Rule(NamedTuple):
    """The rule by which a threshold is chosen.

    kind: F1, PRECISION or RECALL. least: the least precision or recall, in (0, 1]; 0 for F1.
    """

    kind: str
    least: float = 0.0

    def __str__(self) -> str:
        return self.kind if self.kind == F1 else f"{self.kind}={self.least!r}"


def parse_rule(text: str) -> Rule:
    """Returns the Rule of "f1", "precision=0.95" or "recall=0.9". Raises ValueError."""
    kind, _, number = text.partition("=")
    if text == F1:
        return Rule(F1)
    try:
        least = float(number)
    except ValueError:
        least = math.nan
    if kind not in (PRECISION, RECALL) or not 0 < least <= 1:
        raise ValueError(f"expected {RULES}, found {text!r}")
    return Rule(kind, least)


class Threshold(NamedTuple):
    """The least scores of the detections that a detector returns.

    scores: one for all classes, or one for each of the detector's class_names, in [0, 1].
    rule: the text of the Rule that chose them. split: the split of the data that they are from.
    """

    scores: Tuple[float, ...]
    rule: str
    split: str

    def of(self, label: int) -> float:
        """Returns the least score of the detections of a label."""
        return self.scores[label if len(self.scores) > 1 else 0]

    def keeps(self, found: Scored) -> "np.ndarray":
        """Returns which of the n detections of an image reach the threshold, (n,) bool."""
        import numpy as np

        # Both sides are float64. Float32 would round a threshold between two scores to one of them.
        least = np.asarray(self.scores, np.float64)
        if len(least) > 1:
            least = least[found.labels]
        return np.asarray(found.scores, np.float64) >= least

    def __str__(self) -> str:
        return f"{self.shown} ({self.rule}, chosen on {self.split})"

    @property
    def shown(self) -> str:
        """The text "a score of 0.437", or that of the scores of each class."""
        if len(self.scores) == 1:
            return f"a score of {self.scores[0]:.3f}"
        return f"scores of {min(self.scores):.3f} to {max(self.scores):.3f}, one for each class"

    def to_json(self) -> Dict[str, Any]:
        """Returns the threshold as values of JSON."""
        return {**self._asdict(), "scores": list(self.scores)}


EXPECTED = (
    f"scores, one number from 0 to 1 or one for each class, with the texts rule and split of at "
    f"most {LONGEST_TEXT} bytes"
)


def is_threshold(value: Any, classes: int) -> bool:
    """Returns whether a value of a JSON file is the threshold of a detector of K classes."""
    if not isinstance(value, dict) or value.keys() != set(Threshold._fields):
        return False
    scores, texts = value["scores"], [value["rule"], value["split"]]
    return isinstance(scores, list) and _are_scores(scores, classes) and all(map(_is_text, texts))


def threshold_of(value: Mapping[str, Any]) -> Threshold:
    """Returns the Threshold of a value for which ``is_threshold`` holds."""
    return Threshold(tuple(map(float, value["scores"])), value["rule"], value["split"])


def _are_scores(scores: List[Any], classes: int) -> bool:
    return len(scores) in (1, classes) and all(
        type(score) in (int, float) and 0 <= score <= 1 for score in scores
    )


def _is_text(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    return len(value.encode("utf-8", "surrogatepass")) <= LONGEST_TEXT
