"""Evaluates detections. Importing this package registers the evaluators."""

from detkit.evaluate.coco import COCOEvaluator
from detkit.evaluate.metrics import format_table, metrics_to_json
from detkit.evaluate.recall import ProposalEvaluator
from detkit.evaluate.voc import VOCEvaluator

__all__ = [
    "COCOEvaluator",
    "ProposalEvaluator",
    "VOCEvaluator",
    "format_table",
    "metrics_to_json",
]
