"""Chooses the threshold of a detector by its hits on a dataset."""

from typing import Any, Dict, NamedTuple, Optional, Sequence

import numpy as np

from detkit.errors import DataError
from detkit.evaluate.hits import ClassHits, pooled
from detkit.evaluate.judged import Judged
from detkit.threshold import F1, PRECISION, Rule, Threshold


class Figures(NamedTuple):
    """The figures of the detections that reach a threshold; nan without what they divide by."""

    precision: float
    recall: float
    F1: float


UNKNOWN = Figures(float("nan"), float("nan"), float("nan"))


def figures_at(hits: ClassHits, score: float) -> Figures:
    """Returns the figures of the detections with at least a score."""
    kept = int(np.count_nonzero(hits.scores >= score))
    found = int(np.count_nonzero(hits.hit[:kept]))
    return Figures(
        found / kept if kept else float("nan"),
        found / hits.objects if hits.objects else float("nan"),
        2 * found / (kept + hits.objects) if hits.objects else float("nan"),
    )


def choose(hits: ClassHits, rule: Rule, what: str = "the detections") -> float:
    """Returns the score that a rule chooses.

    f1 is the score of the highest F1, precision=P the least score with a precision of at least P,
    whose recall is the highest, and recall=R the highest score with a recall of at least R. Of
    equal F1, the highest score is taken.

    what: whose hits they are, for messages.

    Raises DataError, which names the best that is reached, if no score fulfils the rule, and if
    there are no objects or no detections.
    """
    if not hits.objects or not hits.hit.any():
        raise DataError(
            f"threshold {rule}: expected hits of {what}, found {hits.objects} objects, "
            f"{len(hits.scores)} detections and none that is a hit; no threshold is written"
        )
    # Equal scores are kept or dropped together, so that only the last of them ends a choice.
    ends = np.flatnonzero(np.diff(hits.scores, append=-np.inf))
    precision, recall = hits.precision[ends], hits.recall[ends]
    if rule.kind == F1:
        found = np.cumsum(hits.hit)[ends]
        return _below(hits.scores, ends[(2 * found / (ends + 1 + hits.objects)).argmax()])
    values = precision if rule.kind == PRECISION else recall
    enough = np.flatnonzero(values >= rule.least)
    if not len(enough):
        best = ends[values.argmax()]
        raise DataError(
            f"threshold {rule}: expected a {rule.kind} of at least {rule.least:g} of {what}, "
            f"found {values.max():.4g} at the most, at a score of {hits.scores[best]:.3f}; no "
            "threshold is written. Ask for less"
        )
    return _below(hits.scores, ends[enough[-1 if rule.kind == PRECISION else 0]])


def _below(scores: np.ndarray, last: int) -> float:
    """Returns a threshold between the last score that is kept and the next one.

    Half of the distance is left on either side. At the score itself, the rounding of another
    engine (C++, ONNX, another processor) would drop the detection.
    """
    next_score = float(scores[last + 1]) if last + 1 < len(scores) else 0.0
    return (float(scores[last]) + next_score) / 2


def threshold_by(
    rule: Rule,
    classes: Sequence[ClassHits],
    class_names: Sequence[str],
    split: str,
    per_class: bool = False,
) -> Threshold:
    """Returns the Threshold that a rule chooses for the hits of K classes on a split.

    per_class: whether each class has its own score. A class without objects in the split, and by
        f1 one without a hit, gets the score of all classes together.

    Raises the DataError of ``choose``.
    """
    if not classes:
        raise DataError(
            f"threshold {rule}: expected an evaluator that knows its hits, VOCEvaluator or "
            "COCOEvaluator, found another; no threshold is written"
        )
    if not per_class:
        return Threshold((choose(pooled(classes), rule),), str(rule), split)
    scores = []
    for name, hits in zip(class_names, classes):
        alone = hits.objects > 0 and (rule.kind != F1 or bool(hits.hit.any()))
        own = hits if alone else pooled(classes)
        scores.append(choose(own, rule, f"the class {name!r}" if alone else "all classes"))
    return Threshold(tuple(scores), str(rule), split)


def by_class(
    judged: Judged,
    class_names: Sequence[str],
    threshold: Optional[Threshold],
    split: str,
    rule: str,
) -> Dict[str, Any]:
    """Returns what a result.json says beside the metrics: its rule, threshold and classes.

    threshold: the detector's, which is in force. None: the score of the best F1 of all classes
        together on the judged split, which is an optimistic choice, and not in force.
    split: the judged split. rule: the name of the rule of the AP.

    It returns nothing for an evaluator without hits. Detections without a hit have no best F1.
    There is then no threshold, and the figures that depend on it are nan.
    """
    if not judged.hits:
        return {}
    used = threshold or _best(judged.hits, class_names, split)
    classes: Dict[str, Dict[str, Any]] = {}
    for label, (name, hits) in enumerate(zip(class_names, judged.hits)):
        score = used.of(label) if used else float("nan")
        classes[name] = {
            "AP": judged.ap[label],
            "AP50": judged.metrics["per_class"][name],
            "objects": hits.objects,
            "score": score,
            **(figures_at(hits, score) if used else UNKNOWN)._asdict(),
        }
    in_force = {"in_force": threshold is not None}
    return {
        "rule": rule,
        **({"threshold": {**used.to_json(), **in_force}} if used else {}),
        "classes": classes,
    }


def _best(
    classes: Sequence[ClassHits], class_names: Sequence[str], split: str
) -> Optional[Threshold]:
    try:
        return threshold_by(Rule(F1), classes, class_names, split)
    except DataError:
        return None
