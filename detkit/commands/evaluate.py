"""Evaluates detections that tools/test.py --out saved, or proposals, without the model.

Proposals in a file of their own (.npz, .mat) are judged by the config's evaluator if its detector
is an RPN. For any other detector the tool prints their recall against their number.
"""

import argparse
import sys
from typing import Optional, Sequence

from detkit.build import build_dataset, build_evaluator, open_config
from detkit.build.model import detector_of
from detkit.cli import common_arguments, run, split_argument
from detkit.data.one_class import OneClass
from detkit.detections.proposal_files import is_proposal_file
from detkit.detections.results import load_results
from detkit.evaluate import format_table
from detkit.evaluate.recall import recall_table


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Reads the results, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    common_arguments(parser)
    parser.add_argument(
        "results", metavar="RESULTS", help="COCO results JSON, or an .npz or .mat of proposals"
    )
    split_argument(parser)
    args = parser.parse_args(argv)
    config = open_config(args.config, args.overrides)
    dataset = build_dataset(config, args.split)
    if is_proposal_file(args.results) and detector_of(config).TELLS_CLASSES:
        objects = OneClass(dataset)
        print(recall_table(objects, load_results(args.results, objects)))
        return
    print(format_table(build_evaluator(config)(dataset, load_results(args.results, dataset))))


if __name__ == "__main__":
    sys.exit(run(main))
