"""Evaluates the detections that tools/test.py --out saved, without the model."""

import argparse
import sys
from typing import Optional, Sequence

from detkit.build import build_dataset, build_evaluator, open_config
from detkit.cli import common_arguments, run, split_argument
from detkit.detections.results import load_results
from detkit.evaluate import format_table


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Reads the results, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    common_arguments(parser)
    parser.add_argument(
        "results", metavar="RESULTS", help="COCO results JSON, or an .npz of proposals"
    )
    split_argument(parser)
    args = parser.parse_args(argv)
    config = open_config(args.config, args.overrides)
    dataset = build_dataset(config, args.split)
    print(format_table(build_evaluator(config)(dataset, load_results(args.results, dataset))))


if __name__ == "__main__":
    sys.exit(run(main))
