"""All sides of one detector, loaded and alive: what is measured of them."""

from contextlib import ExitStack
from pathlib import Path

import drawn
import matched
import numpy as np
from processes import BenchmarkError, Worker

AGREE = 0.9  # share of the detections of fp32 sides that have to be the same
PRECISE = "fp32"
WARM_UP = 2


class Session:
    """A context that holds a worker for each Spec; the first is the one the others agree with.

    folder: where the inputs and the results are written for the workers.
    """

    def __init__(self, specs, threads, folder):
        self._specs = {spec.name: spec for spec in specs}
        self._threads, self._folder = threads, Path(folder)
        self._workers, self._stack = {}, ExitStack()
        self.about = {}

    def __enter__(self):
        with self._stack:  # ends those that run if one cannot be started
            for name, spec in self._specs.items():
                worker = Worker(name, spec.script, spec.python, self._threads)
                self._workers[name] = self._stack.enter_context(worker)
                self.about[name] = worker.ask("load", job=spec.job)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error):
        return self._stack.__exit__(*error)

    def use(self, size, batch):
        """From now on images of that size (h, w), so many at once."""
        boxes, labels = drawn.objects(batch, *size)
        path = self._folder / "inputs.npz"
        np.savez(path, images=drawn.pictures(batch, *size), boxes=boxes, labels=labels)
        for worker in self._workers.values():
            worker.ask("use", path=str(path))
            worker.ask("time", count=WARM_UP)

    def times(self, rounds):
        """{side: {"wall": [...], "cpu": [...]}}: one run of each in turn, so many rounds."""
        taken = {name: {"wall": [], "cpu": []} for name in self._workers}
        for _ in range(rounds):
            for name, worker in self._workers.items():
                for clock, seconds in worker.ask("time", count=1).items():
                    taken[name][clock] += seconds
        return taken

    def shares(self, required=True):
        """{side: share of the first one's detections that it has too}; None for other weights.

        Raises BenchmarkError where a side in full precision has too few, if that is required.
        """
        (first, *_), found = self._specs, {}
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
        return {name: worker.ask("peak") for name, worker in self._workers.items()}

    def stages(self, count):
        """{side: {stage: median seconds}} of the sides that can tell."""
        runs = {name: worker.ask("stages", count=count) for name, worker in self._workers.items()}
        return {
            name: {stage: float(np.median([run[stage] for run in each])) for stage in each[0]}
            for name, each in runs.items()
            if each
        }

    def floors(self):
        """{side: {precision: multiply-adds a second}} of a large convolution alone."""
        floors = {name: worker.ask("floor") for name, worker in self._workers.items()}
        return {name: found for name, found in floors.items() if found}
