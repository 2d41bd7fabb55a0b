"""Trains and detects for long with changing shapes; fails if memory, files or threads grow.

Each batch has its own number of images, of other sizes and aspect ratios, with up to 20 objects
each or none. Without --config the detector is the tiny one of the tests. A line is printed for
every few steps, and at the end the verdict: the growth of the resident memory from the second
quarter of the steps to the last, of a fitted line.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Optional, Sequence, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # for support/tiny.py

import detkit  # noqa: E402, F401 - before MXNet
from detkit.build import open_config  # noqa: E402
from detkit.build.training import Training  # noqa: E402
from detkit.cli import debug_argument, positive, run  # noqa: E402
from detkit.files.disk import whole_file  # noqa: E402
from detkit.runner.hooks import Hook  # noqa: E402
from detkit.runner.loop import Runner  # noqa: E402
from soak.images import Batches  # noqa: E402
from soak.watch import BOUND, LEAST_SAMPLES, SoakError, Watch, refuse, verdict  # noqa: E402
from support import tiny  # noqa: E402

PARTS = ("training", "detection")
ENDLESS = 10**9  # steps of a part that ends by the clock
OVERRIDES = (
    "data.train={type: Shapes, length: 4, size: [64, 64], seed: 1}",
    "data.val={type: Shapes, length: 4, size: [64, 64], seed: 2}",
    "data.group_aspect=false",
    "data.workers=0",
    "train.epochs=null",
    "train.schedule={type: StepSchedule, drops: []}",
    "evaluate={type: VOCEvaluator}",
)


class WatchHook(Hook):
    """The hook that takes the samples of a training and ends it by the clock.

    last: the time, as time.monotonic tells it, after which the run ends, or None.
    """

    def __init__(self, watch: Watch, last: Optional[float]) -> None:
        self._watch, self._last = watch, last

    def after_step(self, run: Runner) -> None:
        """Takes a sample if one is due."""
        if self._watch.is_due(run.progress.step):
            run.losses.read()  # waits for the device
            self._watch.take(run.progress.step)
        if self._last is not None and time.monotonic() > self._last:
            run.stopping = True


def arguments(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Returns the arguments, checked."""
    parser = argparse.ArgumentParser(description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=positive, help="of each part (default: 10000)")
    length.add_argument("--hours", type=float, help="of each part, instead of --steps")
    parser.add_argument("--only", choices=PARTS, help="one part alone")
    parser.add_argument("--config", help="a detector's config (default: the tests' tiny one)")
    parser.add_argument(
        "--pad-multiple",
        type=positive,
        help="instead of data.pad_multiple; 1 makes nearly every batch a new shape",
    )
    parser.add_argument(
        "--sides",
        type=positive,
        nargs=2,
        metavar=("LEAST", "MOST"),
        default=(32, 160),
        help="of the batches, in pixels (default: 32 160)",
    )
    parser.add_argument("--every", type=positive, default=250, help="steps between two lines")
    parser.add_argument("--bound", type=float, default=BOUND, help=f"MB (default: {BOUND:g})")
    parser.add_argument("--seed", type=int, default=0, help="of the images")
    parser.add_argument("--json", metavar="FILE", help="write the samples and the verdict here")
    debug_argument(parser)
    args = parser.parse_args(argv)
    if not 32 <= args.sides[0] <= args.sides[1]:
        parser.error("--sides: expected two numbers of at least 32, the smaller one first")
    args.steps = args.steps or (10_000 if args.hours is None else ENDLESS)
    if args.steps < LEAST_SAMPLES * args.every:
        parser.error(f"--steps: expected at least {LEAST_SAMPLES} times --every")
    return args


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Runs the parts; raises SoakError if one of them grows."""
    args = arguments(argv)
    watches = [Watch(name, args.every) for name in PARTS if args.only in (name, None)]
    with tempfile.TemporaryDirectory(prefix="detkit-soak-") as folder:
        training, batches = prepare(args, Path(folder))
        for watch in watches:
            last = None if args.hours is None else time.monotonic() + 3600 * args.hours
            watch.begin()
            if watch.name == "training":
                train(training, watch, last, Path(folder, "work"))
            else:
                detect(training, batches, watch, last, args.steps)
    verdicts = [verdict(watch, args.bound) for watch in watches]
    if args.json:
        with whole_file(Path(args.json)) as part:
            part.write_text(json.dumps(verdicts, indent=1) + "\n", encoding="utf-8")
    refuse(verdicts)


def prepare(args: argparse.Namespace, folder: Path) -> Tuple[Training, Batches]:
    """Returns the training of the config and the batches that it is given."""
    config = args.config or tiny.project(folder / "project")
    tenth = max(args.every, min(args.steps, 100_000) // 10)
    overrides = [f"train.steps={args.steps}", f"train.log_every={args.every}"]
    overrides += [f"train.{name}_every={{steps: {tenth}}}" for name in ("evaluate", "checkpoint")]
    overrides += [f"data.pad_multiple={args.pad_multiple}"] if args.pad_multiple else []
    training = Training(open_config(config, [*OVERRIDES, *overrides]))
    inputs, names = training.train_step.INPUTS, training.class_names
    if "proposals" in inputs:
        raise SoakError(f"{config}: expected a detector that makes its own proposals")
    batches = Batches(training.config, inputs, names, args.sides, args.seed, args.steps)
    training.loader = batches
    return training, batches


def train(training: Training, watch: Watch, last: Optional[float], work_dir: Path) -> None:
    """Trains, with evaluations and checkpoints, as tools/train.py does."""
    runner = training.runner(str(work_dir))
    runner.hooks.append(WatchHook(watch, last))
    runner.run()


def detect(
    training: Training, batches: Batches, watch: Watch, last: Optional[float], steps: int
) -> None:
    """Detects in the images of one batch after the other."""
    for step in range(1, steps + 1):
        images = [picture.image for picture in batches.pictures(step)]
        found = training.detector.detect(images)
        assert len(found) == len(images)
        if watch.is_due(step):
            watch.take(step)
        if last is not None and time.monotonic() > last:
            break


if __name__ == "__main__":
    sys.exit(run(main))
