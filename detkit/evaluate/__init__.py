"""Detections -> numbers. Importing this package registers the evaluators."""

from detkit.evaluate.coco import COCOEvaluator
from detkit.evaluate.proposal_files import save_proposals
from detkit.evaluate.proposals import ProposalEvaluator
from detkit.evaluate.results import format_table, load_results, metrics_to_json, save_results
from detkit.evaluate.voc import VOCEvaluator

__all__ = [
    "COCOEvaluator",
    "ProposalEvaluator",
    "VOCEvaluator",
    "format_table",
    "load_results",
    "metrics_to_json",
    "save_proposals",
    "save_results",
]
