"""Measures the loader of a training: its rate in several ways, beside the rate of a training step.

The batches of all ways are compared first. Threads and caches must load the same bits; of reduced
decoding, the mean change of a pixel is printed. A cache is measured when it is full. With
--photographs, JPEGs of one size are loaded instead of the images of data.train.

The training steps of CONFIG follow, first with batches that lie in memory, then with the loader,
for the share of the time in which a step waits for its batch. It is the share that a training
prints as "data 1%".

With --batches, only memory is measured: batches of ever-changing shapes are loaded in threads with
a full cache, and the memory of the process must not grow.
"""

import argparse
import json
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Sequence, Tuple

import numpy as np

from benchmark.arguments import size
from benchmark.errors import BenchmarkError
from benchmark.loading.photographs import write_photographs
from benchmark.loading.ways import Rate, check, loader_of, measure, ways_of
from detkit.build.sections import open_config
from detkit.build.training import Training
from detkit.cli import debug_argument, positive, run, set_argument
from detkit.data import HorizontalFlip, Loader, Photometric, Repeat, Resize
from detkit.data.caches import MemoryCache
from detkit.data.sample import Batch
from detkit.processor import describe
from soak.watch import BOUND, LEAST_SAMPLES, Watch, growth

CHANGING = 96  # photographs of the measurement of memory
SIDES = (120, 480)  # in pixels, of these photographs
SHORTS = range(100, 300, 3)  # pixels of the shorter sides that they are resized to


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Measures, prints the figures, writes the file."""
    args = arguments(argv)
    print(describe(), flush=True)
    with tempfile.TemporaryDirectory(prefix="detkit-loader-") as folder:
        if args.batches:
            figures: Dict[str, Any] = memory(args.batches, args.every, args.workers, Path(folder))
        else:
            figures = rates(args, Path(folder))
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1), encoding="utf-8")
    if args.batches and figures["growth_mb"] > args.bound:
        raise BenchmarkError(
            f"expected a loader whose memory grows by at most {args.bound:g} MB, found "
            f"{figures['growth_mb']:.1f} MB"
        )


def arguments(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Returns the arguments, checked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", nargs="?", help="a config; not with --batches")
    set_argument(parser, "CONFIG")
    parser.add_argument("--photographs", type=size, metavar="HxW", help="load JPEGs of this size")
    parser.add_argument("--count", type=positive, default=12, help="photographs (default: 12)")
    parser.add_argument("--most", type=positive, default=50, help="batches of a pass (default: 50)")
    parser.add_argument("--times", type=positive, default=3, help="passes of a way (default: 3)")
    parser.add_argument("--steps", type=positive, default=10, help="timed steps (default: 10)")
    parser.add_argument("--workers", type=positive, default=2, help="threads (default: 2)")
    parser.add_argument("--batches", type=positive, help="measure the memory over these instead")
    parser.add_argument("--every", type=positive, default=500, help="batches between two lines")
    parser.add_argument("--bound", type=float, default=BOUND, help=f"MB (default: {BOUND:g})")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    debug_argument(parser)
    args = parser.parse_args(argv)
    if bool(args.batches) == bool(args.config):
        parser.error("expected either CONFIG or --batches")
    if args.batches and args.batches < LEAST_SAMPLES * args.every:
        parser.error(f"--batches: expected at least {LEAST_SAMPLES} times --every")
    return args


def rates(args: argparse.Namespace, folder: Path) -> Dict[str, Any]:
    """Measures the ways to load and the training step; returns the figures by name."""
    training = Training(open_config(args.config, args.overrides))
    inputs = training.train_step.INPUTS
    dataset: Any = training.train_set
    if args.photographs:
        images = folder / "photographs"
        images.mkdir()
        dataset = write_photographs(images, [args.photographs] * args.count)
    ways = ways_of(args.workers, str(folder / "cache"))
    loaders = {
        way.name: loader_of(way, args.config, args.overrides, inputs, dataset) for way in ways
    }
    change = check(loaders, ways, args.most)
    print(f"all ways load the same; reduced decoding changes a pixel by {change:.2f} of 255")
    found = {name: measure(loader, args.most, args.times) for name, loader in loaders.items()}
    for name, rate in found.items():
        print(f"{name:20} {rate.images:8.1f} images/s  {rate.milliseconds:7.1f} ms of processor")
    alone, share = steps(training, args.steps, str(folder / "run"))
    _compare(found, alone, share)
    ways_found = {name: rate._asdict() for name, rate in found.items()}
    return {"ways": ways_found, "change": change, "step": alone, "waiting": share}


def _compare(found: Dict[str, Rate], alone: float, share: float) -> None:
    print(f"training step        {alone:8.1f} images/s, with batches in memory")
    for name, rate in found.items():
        print(f"{name:20} {rate.images / alone:8.1f} times the rate of the step")
    print(f"data {share:.1%}: the share of a training in which a step waits for its batch")


def steps(training: Training, count: int, work_dir: str) -> Tuple[float, float]:
    """Returns the images a second of training steps alone, and their share of waiting."""
    runner = training.runner(work_dir)
    runner.call("start")
    batches = list(islice(training.loader.batches(0), count))
    for batch in batches[:2]:  # layers are prepared at the first step of a shape
        runner.step(batch)
    runner.losses.read()  # waits for the device
    began = time.perf_counter()
    for batch in batches:
        runner.step(batch)
    runner.losses.read()
    alone = sum(len(batch.images) for batch in batches) / (time.perf_counter() - began)
    waited, began = 0.0, time.perf_counter()
    for asked, batch in islice(_asked(training.loader), count):
        waited += asked
        runner.step(batch)
    runner.losses.read()
    share = waited / (time.perf_counter() - began)
    runner.call("close")
    return alone, share


def _asked(loader: Loader) -> Iterator[Tuple[float, Batch]]:
    """Yields the batches of an epoch, and the seconds until each was there."""
    batches = loader.batches(1)
    while True:
        asked = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        yield time.perf_counter() - asked, batch


def memory(count: int, every: int, workers: int, folder: Path) -> Dict[str, Any]:
    """Loads batches of changing shapes; returns the verdict of the soak about them."""
    rng = np.random.default_rng(0)
    sizes = [(int(height), int(width)) for height, width in rng.integers(*SIDES, (CHANGING, 2))]
    dataset = Repeat(write_photographs(folder, sizes), -(-count * 2 // CHANGING))
    transforms = [Resize(tuple(SHORTS), 400), HorizontalFlip(), Photometric()]
    cache = MemoryCache(10)  # a third of the images
    loader = Loader(
        dataset, transforms, 2, shuffle=True, workers=workers, pad_multiple=1, cache=cache
    )
    watch, shapes = Watch("loader", every), set()
    watch.begin()
    for number, batch in enumerate(islice(loader.batches(0), count), 1):
        shapes.add(batch.images.shape)
        if watch.is_due(number):
            watch.take(number)
    grown = growth(watch.samples)
    print(
        f"{len(shapes)} shapes in {count} batches; {cache.used / 1e6:.1f} MB in the cache; memory "
        f"from the second to the last quarter {grown:+.1f} MB"
    )
    samples = [sample._asdict() for sample in watch.samples]
    return {"shapes": len(shapes), "growth_mb": grown, "samples": samples}


if __name__ == "__main__":
    sys.exit(run(main))
