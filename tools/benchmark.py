"""Times whole detectors: detkit's forms of one beside each other, and beside other frameworks.

Each side runs in a process of its own. The sides take turns, so that other work on the machine
disturbs all of them alike. They get the same random weights and the same images as uint8 arrays,
which nobody resizes, and return detections as numpy arrays, with masks pasted into the image and
keypoints found in heatmaps (ONNX Runtime and OpenVINO, which run detkit's ONNX model, do neither).
Before they are timed, all sides in full precision must agree. DETKIT_ISA limits all sides to a
level of instructions. A side that this processor would emulate is left out, and a line says so.

A peer may run under another interpreter, without detkit: --peer torchvision=/path/to/python. A
ratio is a side's time divided by the time of the fastest of detkit's forms.
"""

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import detkit
from benchmark.arguments import Size
from benchmark.detectors import report
from benchmark.detectors.arguments import add_detectors, complete
from benchmark.detectors.running_sides import RunningSides
from benchmark.detectors.sides import FORMS, PEERS, SWEEP, TRAINABLE, Side, sides_of
from benchmark.detectors.worker_process import write_files
from detkit.cli import debug_argument, positive, run

TRAINED_MODELS = ("fasterrcnn_vgg16", "fasterrcnn_resnet50_fpn")


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Measures, prints the tables, writes the files."""
    args = parsed(argv)
    if args.plot:
        report.pyplot()  # its absence must be known before the measuring
    versions = f"detkit {detkit.__version__}, Python {platform.python_version()}"
    print(f"{args.processor}; {args.threads} threads; {versions}", flush=True)
    for side, reason in args.left_out.items():
        print(f"{side} is left out: {reason}", flush=True)
    figures: List[report.Figures] = []
    for model in args.models:
        with tempfile.TemporaryDirectory() as folder:
            write_files(model, Path(folder), *((args.forms, args.peers) if args.detect else ()))
            if args.detect:
                figures += measure_detecting(model, Path(folder), args)
            if args.train and model in TRAINED_MODELS:
                figures += measure_training(model, Path(folder), args)
        write_figures(figures, args)  # after each detector, because a later one may fail


def parsed(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Returns the arguments, checked and completed."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_sides(parser)
    add_measures(parser)
    debug_argument(parser)
    args = parser.parse_args(argv)
    complete(parser, args)
    if not args.train and not args.detect:
        parser.error("--no-detect: expected --train with it, found nothing else to measure")
    if args.train and not set(TRAINABLE) & set(args.forms):
        parser.error(f"--train: expected {' or '.join(TRAINABLE)} in --forms, found none of them")
    return args


def add_sides(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that choose the sides and their images."""
    add_detectors(parser, FORMS, PEERS)
    parser.add_argument("--batch", type=positive, default=1, help="images in a batch; default: 1")
    parser.add_argument("--threads", type=positive, default=2, help="of each side; default: 2")


def add_measures(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that choose what is measured."""
    parser.add_argument("--rounds", type=positive, default=7, help="runs of each side; default: 7")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: the seconds of all threads together, which other programs disturb less",
    )
    parser.add_argument(
        "--train",
        action="store_true",
        help=f"also measure a training step of {' and '.join(TRAINED_MODELS)}",
    )
    parser.add_argument(
        "--no-detect",
        dest="detect",
        action="store_false",
        help="measure --train alone",
    )
    parser.add_argument("--stages", action="store_true", help="also measure the parts")
    parser.add_argument("--floor", action="store_true", help="also measure one large convolution")
    parser.add_argument("--sweep", action="store_true", help="measure several sizes and batches")
    parser.add_argument(
        "--no-compare", action="store_true", help="measure the sides even if they disagree"
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures to this file")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the figures, with Matplotlib")


def write_figures(figures: List[report.Figures], args: argparse.Namespace) -> None:
    """Writes the figures to --json and --plot."""
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
    if args.plot and figures:
        report.plot(figures, args.plot)


def measured_sides(
    model: str, folder: Path, forms: Sequence[str], args: argparse.Namespace, training: bool
) -> List[Side]:
    """Returns the sides that are not left out."""
    sides = sides_of(model, folder, forms, args.peers, training, args.clock)
    return [side for side in sides if side.name not in args.left_out]


def measure_detecting(model: str, folder: Path, args: argparse.Namespace) -> List[report.Figures]:
    """Measures detecting at each size and batch; returns the figures, as written to --json."""
    sides = measured_sides(model, folder, args.forms, args, training=False)
    measured = []
    with RunningSides(sides, args.threads, folder) as running:
        for pixels, batch in points(args):
            running.use(pixels, batch)
            shares = running.agreements(required=not args.no_compare)
            what = {"model": model, "training": False, "size": pixels, "batch": batch}
            figures = measure(running, sides, args, what, shares)
            if args.stages:
                figures["stages"] = running.stages(args.rounds)
                print(report.stage_table(figures["stages"]), flush=True)
            measured.append(figures)
        if args.floor:
            measured[-1]["floor"] = running.floors()
            print(report.floor_table(measured[-1]["floor"]))
    return measured


def measure_training(model: str, folder: Path, args: argparse.Namespace) -> List[report.Figures]:
    """Measures a training step at the first size; returns the figures."""
    forms = [form for form in TRAINABLE if form in args.forms]
    sides = measured_sides(model, folder, forms, args, training=True)
    with RunningSides(sides, args.threads, folder) as running:
        running.use(args.size[0], args.batch)
        what = {"model": model, "training": True, "size": args.size[0], "batch": args.batch}
        return [measure(running, sides, args, what, shares={})]


def measure(
    running: RunningSides,
    sides: Sequence[Side],
    args: argparse.Namespace,
    what: Dict[str, Any],
    shares: Mapping[str, Optional[float]],
) -> report.Figures:
    """Measures all sides on their present images; prints and returns the figures.

    what: the figures' first entries. shares: {side: share of detections in common with the first}.
    """
    taken, peaks = running.times(args.rounds), running.peaks()
    figures = {**what, "processor": args.processor, "threads": args.threads, "clock": args.clock}
    figures["left_out"] = args.left_out
    figures["sides"] = {
        side.name: report.row(
            side,
            taken[side.name],
            args.clock,
            peaks[side.name],
            shares.get(side.name),
            running.about[side.name],
        )
        for side in sides
    }
    print(f"\n{report.table(figures)}", flush=True)
    return figures


def points(args: argparse.Namespace) -> List[Tuple[Size, int]]:
    """Returns the pairs of size and batch that are measured."""
    if not args.sweep:
        return [(pixels, args.batch) for pixels in args.size]
    sizes, batches = SWEEP
    return [(pixels, 1) for pixels in sizes] + [(args.size[0], n) for n in batches if n > 1]


if __name__ == "__main__":
    sys.exit(run(main))
