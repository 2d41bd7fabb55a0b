"""All sides of one detector, loaded and alive: what is measured of them."""

from contextlib import ExitStack
from pathlib import Path

import drawn
import matched
import numpy as np
from processes import PAUSE, BenchmarkError, Worker
from progress import duration, progress
from report import versions

AGREE = 0.9  # share of the detections of fp32 sides that have to be the same
PRECISE = "fp32"
WARM_UP = 2
NOW_AND_THEN = 3.0  # seconds between the lines about rounds


class Session:
    """A context that holds a worker for each Spec; the first is the one the others agree with.

    folder: where the inputs and the results are written for the workers.
    """

    def __init__(self, specs, threads, folder):
        self._specs = {spec.name: spec for spec in specs}
        self._threads, self._folder = threads, Path(folder)
        self._workers, self._stack = {}, ExitStack()
        self._warm = {}  # {side: seconds of its last call before the rounds}
        self.about = {}

    def __enter__(self):
        with self._stack:  # ends those that run if one cannot be started
            for name, spec in self._specs.items():
                worker = Worker(name, spec.script, spec.python, self._threads)
                self._workers[name] = self._stack.enter_context(worker)
                self.about[name] = worker.ask("load", job=spec.job)
                progress.say(f"{name}: loaded, {versions(self.about[name])}")
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error):
        return self._stack.__exit__(*error)

    def use(self, size, batch):
        """From now on images of that size (h, w), so many at once."""
        boxes, labels = drawn.objects(batch, *size)
        path = self._folder / "inputs.npz"
        np.savez(path, images=drawn.pictures(batch, *size), boxes=boxes, labels=labels)
        progress.say(f"{size[0]}x{size[1]}, batch {batch}: {WARM_UP} calls of each side first")
        for name, worker in self._workers.items():
            worker.ask("use", path=str(path))
            self._warm[name] = worker.ask("time", count=WARM_UP)["wall"][-1]
            progress.say(f"  {name:22}{self._warm[name]:10.3f} s a call")

    def times(self, rounds):
        """{side: {"wall": [...], "cpu": [...]}}: one run of each in turn, so many rounds."""
        taken = {name: {"wall": [], "cpu": []} for name in self._workers}
        one = sum(self._warm.values()) + PAUSE * len(self._warm)
        progress.say(
            f"{rounds} rounds of {len(taken)} sides: about {duration(rounds * one)}, "
            f"{duration(one)} each"
        )
        for number in range(rounds):
            left = duration((rounds - number) * one)
            progress.say(f"  round {number + 1} of {rounds}, about {left} left", NOW_AND_THEN)
            for name, worker in self._workers.items():
                for clock, seconds in worker.ask("time", count=1).items():
                    taken[name][clock] += seconds
        return taken

    def shares(self, required=True):
        """{side: share of the first one's detections that it has too}; None for other weights.

        Raises BenchmarkError where a side in full precision has too few, if that is required.
        """
        (first, *_), found = self._specs, {}
        progress.say("what each side finds")
        for name, worker in self._workers.items():
            worker.ask("found", path=str(self._path(name)))
            if not self._specs[name].compared:
                found[name] = None
                continue
            found[name] = matched.share(self._path(first), self._path(name))
            precise = self._specs[name].precision == PRECISE
            if required and precise and found[name] < AGREE:
                raise BenchmarkError(
                    f"{name} finds {found[name]:.0%} of what {first} finds, expected {AGREE:.0%}: "
                    "they do not run the same network; --no-compare times them all the same"
                )
        return found

    def _path(self, name):
        return self._folder / f"{name.replace(' ', '-')}.npz"

    def peaks(self):
        """{side: bytes of resident memory at its peak during a run}."""
        progress.say("the memory of each side")
        return {name: worker.ask("peak") for name, worker in self._workers.items()}

    def stages(self, count):
        """{side: {stage: median seconds}} of the sides that can tell."""
        progress.say(f"{count} runs of each side for the time of its parts")
        runs = {name: worker.ask("stages", count=count) for name, worker in self._workers.items()}
        return {
            name: {stage: float(np.median([run[stage] for run in each])) for stage in each[0]}
            for name, each in runs.items()
            if each
        }

    def floors(self):
        """{side: {precision: multiply-adds a second}} of a large convolution alone."""
        progress.say("one large convolution of each side")
        floors = {name: worker.ask("floor") for name, worker in self._workers.items()}
        return {name: found for name, found in floors.items() if found}
