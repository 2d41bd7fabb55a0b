"""Evaluates saved detections or proposals: ``detkit evaluate``."""

import argparse
import os

from detkit.build import build_dataset, build_evaluator, open_config
from detkit.build.model import detector_of
from detkit.data.one_class import OneClass
from detkit.detections.proposal_files import is_proposal_file
from detkit.detections.results import load_results
from detkit.evaluate import format_table
from detkit.evaluate.choose import by_class
from detkit.evaluate.judged import judge, rule_of
from detkit.evaluate.recall import recall_table
from detkit.loading import config_and_checkpoint


def main(args: argparse.Namespace) -> None:
    """Reads the results, prints the table."""
    path = config_and_checkpoint(args.config)[0] if os.path.isdir(args.config) else args.config
    config = open_config(path, args.overrides)
    dataset = build_dataset(config, args.split)
    if is_proposal_file(args.results) and detector_of(config).TELLS_CLASSES:
        objects = OneClass(dataset)
        print(recall_table(objects, load_results(args.results, objects)))
        return
    evaluator, names = build_evaluator(config), dataset.class_names
    judged = judge(evaluator, dataset, load_results(args.results, dataset))
    beside = by_class(judged, names, None, args.split, rule_of(evaluator))
    print(format_table({**judged.metrics, **beside}))
