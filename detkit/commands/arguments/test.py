"""Evaluates a run, a checkpoint or an export on the images of data.val, data.test or data.train.

A training chooses its best checkpoint on data.val. Report what --split test finds. result.json
has the figures of the last evaluation on data.val or data.test, with the name of the split.
--threshold chooses the least score of what the detector returns, by precision and recall on val.
"""

import argparse
from typing import NamedTuple, Optional

from detkit.cli import (
    SPLITS,
    lacks_checkpoint,
    lacks_tiles,
    model_arguments,
    positive,
    split_argument,
    tiles_arguments,
    tta_argument,
)
from detkit.commands.arguments.predict import runtime_arguments
from detkit.threshold import RULES, Rule, parse_rule

MODEL = "a checkpoint or an export, or an .onnx"
VAL = SPLITS[0]  # the split on which choices are made, so that the figures of test stay honest


class Least(NamedTuple):
    """The least value of a figure: --fail-under KEY=VALUE."""

    key: str
    value: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    model_arguments(parser, MODEL)
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="write the detections as COCO results JSON, and beside them the objects in COCO's "
        "format, for found.json as found.truth.json, so that pycocotools can judge the pair; for "
        "an RPN, a FILE.npz is far smaller and has no objects",
    )
    split_argument(parser)
    rules(parser)
    tiles_arguments(parser)
    tta_argument(parser)
    runtime_arguments(parser)
    parser.add_argument(
        "--work-dir",
        metavar="DIR",
        help="of result.json; default: the run's or export's",
    )
    parser.add_argument("--batch-size", type=positive, default=1, metavar="B", help="default: 1")


def rules(parser: argparse.ArgumentParser) -> None:
    """Adds the threshold, and the figures that fail."""
    parser.add_argument(
        "--threshold",
        metavar="RULE",
        type=rule,
        help="choose the least score on data.val, and write it into the checkpoint or the export, "
        "where detect, predict, export and the C++ program take it from: f1 (the highest F1), "
        "precision=0.95 (the highest recall with this precision) or recall=0.9 (the highest score "
        "with this recall)",
    )
    parser.add_argument(
        "--per-class", action="store_true", help="with --threshold: a score for each class"
    )
    parser.add_argument(
        "--fail-under",
        metavar="KEY=VALUE",
        type=least,
        nargs="+",
        action="extend",
        default=[],
        help="exit with status 1 if a figure of result.json is less: AP50=0.9, or "
        "classes/NAME/recall=0.8",
    )


def rule(text: str) -> Rule:
    """Parses a RULE."""
    try:
        return parse_rule(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def least(text: str) -> Least:
    """Parses KEY=VALUE."""
    key, _, number = text.rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not key or not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(
            f"expected KEY=VALUE with a fraction from 0 to 1 as in result.json, such as AP50=0.9, "
            f"found {text!r}"
        )
    return Least(key, value)


def wrong(args: argparse.Namespace) -> Optional[str]:
    """Returns a message if CHECKPOINT is missing beside a config, or if options contradict."""
    if args.per_class and args.threshold is None:
        return f"--per-class: expected --threshold beside it ({RULES}), found none"
    if args.threshold is not None and args.split != VAL:
        return (
            f"--threshold: expected --split {VAL}, found --split {args.split}; choose it on "
            f"{VAL}, and then run --split {args.split} alone, which judges the detector at it"
        )
    if args.threshold is not None and args.tta:
        return (
            "--threshold: expected no --tta, because the threshold is that of the detector "
            "itself, and merged views have other scores; found both"
        )
    return lacks_tiles(args) or lacks_checkpoint(args, MODEL)
