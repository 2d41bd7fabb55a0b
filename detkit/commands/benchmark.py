"""Times a detector: ``detkit benchmark``."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Dict, List, Mapping, Sequence

import cv2
import numpy as np

from detkit.errors import DetkitError
from detkit.processor import describe
from detkit.threads import VARIABLE

if TYPE_CHECKING:
    from detkit.commands.timing import Times

SLOW = 90  # the percentile beside the median
WIDTH = 16  # of a column


def main(args: argparse.Namespace) -> None:
    """Opens the detectors, times them at each size of a batch, prints the tables."""
    use_threads(args)
    if args.forms:
        from detkit.commands.forms.compare import main as compare

        compare(args)
        return
    from detkit.commands.timing import images_for, opened, take_turns

    how = {"runtime": args.runtime, "device": args.device}
    sides = {"": opened(args.config, args.overrides, **how)}
    if args.against:
        sides = {"first": sides[""], "second": opened(args.against, **how)}
    images, what = images_for(args.config, args.overrides, args.pictures, args.count)
    threads = os.environ.get(VARIABLE)
    print(f"{describe()}; threads: {threads}; {len(images)} images: {what}")
    for name, path in zip(sides, (args.config, args.against)):
        print(f"{name}: {path}" if name else str(path))
    for batch in args.batches:
        times = take_turns(list(sides.values()), images, batch, args.rounds)
        print("\n" + "\n".join(table(batch, dict(zip(sides, times)))), flush=True)


def use_threads(args: argparse.Namespace) -> None:
    """Sets the threads of MXNet and of OpenCV. Raises DetkitError if MXNet has begun already."""
    if args.threads is None:
        return
    if "mxnet" in sys.modules and os.environ.get(VARIABLE) != str(args.threads):
        raise DetkitError(
            f"--threads {args.threads}: expected a process in which MXNet is not imported yet, "
            f"found one with {os.environ.get(VARIABLE)} threads; set {VARIABLE} before it starts"
        )
    os.environ[VARIABLE] = str(args.threads)
    cv2.setNumThreads(args.threads)


def table(batch: int, sides: Mapping[str, "Times"]) -> List[str]:
    """Returns the lines on one size of a batch.

    sides: {name: Times}; one without a name, or two, the second of which is compared.
    """
    wholes = {name: times.of_image() for name, times in sides.items()}
    medians = {name: float(np.median(whole)) for name, whole in wholes.items()}
    lines = [f"batches of {batch}, in ms an image" + "".join(f"{n:>{WIDTH}}" for n in wholes if n)]
    rows: Dict[str, Sequence[float]] = {
        stage: [float(np.median(times.stages[stage])) for times in sides.values()]
        for stage in next(iter(sides.values())).stages
    }
    rows["all, median"] = list(medians.values())
    rows[f"all, {SLOW} %"] = [float(np.percentile(whole, SLOW)) for whole in wholes.values()]
    for name, row in rows.items():
        lines.append(f"  {name:18}" + "".join(f"{number:>{WIDTH}.1f}" for number in row))
    speeds = "".join(f"{1000 / median:>{WIDTH}.2f}" for median in medians.values())
    lines.append(f"  {'images a second':18}{speeds}")
    if len(medians) > 1:
        first, second = medians.values()
        lines.append(f"  the second takes {second / first:.2f} times as long as the first")
    return lines
