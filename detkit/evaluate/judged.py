"""The findings of an evaluator: its metrics, and the hits behind them if it knows them."""

from typing import Any, Callable, Dict, NamedTuple, Protocol, Sequence, runtime_checkable

from detkit.data.sample import Dataset
from detkit.detections import Detections
from detkit.evaluate.hits import ClassHits


class Judged(NamedTuple):
    """The judgement of detections.

    metrics: what the evaluator returns when it is called.
    hits: of each of K classes at an IoU of 0.5, by the evaluator's rule; none if it has no hits.
    ap: the AP of each class, as many as hits.
    """

    metrics: Dict[str, Any]
    hits: Sequence[ClassHits] = ()
    ap: Sequence[float] = ()


@runtime_checkable
class Judges(Protocol):
    """The protocol of an evaluator that knows the hits behind its metrics.

    rule: the name of the rule of its AP, for the heads of tables.
    """

    rule: str

    def judge(self, dataset: Dataset, detections: Dict[Any, Detections]) -> Judged:
        """Returns the metrics with the hits behind them."""


Evaluator = Callable[[Dataset, Dict[Any, Detections]], Dict[str, Any]]


def judge(evaluator: Evaluator, dataset: Dataset, detections: Dict[Any, Detections]) -> Judged:
    """Returns the judgement of any evaluator, without hits if it has none."""
    if isinstance(evaluator, Judges):
        return evaluator.judge(dataset, detections)
    return Judged(evaluator(dataset, detections))


def rule_of(evaluator: Evaluator) -> str:
    """Returns the name of the rule of an evaluator's AP; "" if it has none."""
    return evaluator.rule if isinstance(evaluator, Judges) else ""
