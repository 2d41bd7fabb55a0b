"""Compares presets of augmentation, and a start from a trained detector, for few training images.

A Mask R-CNN is trained on 10, 30 and all 130 training images of Penn-Fudan, in equally many steps,
and judged on its 40 test images. A training is made once: the tool goes on where it was
interrupted. After each number of images it writes few_images.json, few_images.md and few_images.png
into --out; the plot needs matplotlib.
"""

import argparse
import signal
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import detkit  # noqa: F401 - before MXNet
from augmentation.bases import PLAIN, Change
from augmentation.plot import figure_class, plot
from augmentation.rows import preset
from augmentation.table import HEADS, images_table
from augmentation.trainings import Training, Trainings, add_options, plan
from detkit.cli import debug_argument, positive, run
from detkit.data.presets import PRESETS
from trainings.records import read_json, write_json, write_text

BASE = "pennfudan_test"
NUMBERS = (10, 30, 130)
TRANSFER = "transfer"
VARIANTS: Dict[str, Change] = {
    "plain": PLAIN,
    **{name: preset(name) for name in PRESETS},
    TRANSFER: PLAIN,
}


def wanted_by(variant: str, images: int, seeds: int) -> List[Training]:
    """Returns the trainings of a variant with a number of images, one for each seed."""
    return [Training(BASE, images, variant, seed) for seed in range(seeds)]


def measure(variant: str, images: int, args: argparse.Namespace) -> List[Dict[str, Any]]:
    """Makes the trainings of a variant with a number of images; returns their results."""
    more = [f"train.start_from={checkpoint_of(args.start_from)}"] if variant == TRANSFER else []
    made, change = Trainings(args), VARIANTS[variant]
    trainings = wanted_by(variant, images, args.seeds)
    return [made.result(training, change, *more) for training in trainings]


def checkpoint_of(run_folder: str) -> Path:
    """Returns the best checkpoint of a run, or the folder itself if it is no run."""
    best = Path(run_folder, "checkpoints", "best")
    return (best if best.exists() else Path(run_folder)).resolve()


def write(out: Path, results: Dict[str, Dict[str, Any]]) -> str:
    """Writes the results of {variant: {images: one for each seed}}; returns the tables."""
    measured = [result for each in results.values() for seeds in each.values() for result in seeds]
    metrics = [metric for metric in HEADS if all(metric in result for result in measured)]
    tables = "\n".join(images_table(results, metric) for metric in metrics)
    write_json(out / "few_images.json", results)
    write_text(out / "few_images.md", tables)
    plot(results, out / "few_images.png")
    return tables


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Makes the trainings, writes the tables and the plot, prints the tables."""
    args = parsed(argv)
    pairs = [(number, variant) for number in args.images for variant in args.only]
    if args.dry_run:
        wanted = [one for number, name in pairs for one in wanted_by(name, number, args.seeds)]
        print(plan(Trainings(args), wanted, args.steps))
        return
    figure_class()  # a missing package ends the tool now and not after an hour
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the time of an attempt is kept
    out = Path(args.out)
    for number, variant in pairs:
        found = read_json(out / "few_images.json") or {}
        found.setdefault(variant, {})[str(number)] = measure(variant, number, args)
        tables = write(out, {name: found[name] for name in VARIANTS if name in found})
    print(tables)


def parsed(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Returns the arguments, checked."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument(
        "--images", type=positive, nargs="+", default=list(NUMBERS), help="default: 10 30 130"
    )
    parser.add_argument(
        "--only",
        choices=list(VARIANTS),
        nargs="+",
        help="default: all, and transfer with --start-from",
    )
    parser.add_argument(
        "--start-from",
        metavar="RUN",
        help="the run or checkpoint of transfer: a detector with the same network, trained on "
        "other data, such as bccd/faster_rcnn_mobilenet_v2_fpn_bccd",
    )
    debug_argument(parser)
    args = parser.parse_args(argv)
    args.only = args.only or [name for name in VARIANTS if name != TRANSFER or args.start_from]
    if TRANSFER in args.only and not args.start_from:
        parser.error(f"--only {TRANSFER}: expected --start-from RUN with it")
    return args


if __name__ == "__main__":
    sys.exit(run(main))
