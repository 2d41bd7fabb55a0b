"""The workers of all sides of tools/benchmark.py, and the measurements that the tool asks for."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from . import random_data
from .agreement import agreements
from .progress import duration, progress
from .report import versions
from .sides import Side
from .worker_process import PAUSE, WorkerProcess

WARM_UP = 2  # calls
BETWEEN_LINES = 3.0  # seconds between two lines about rounds


class RunningSides:
    """A context that holds a worker for each side. All sides must agree with the first.

    threads: OpenMP's in each worker. folder: for the inputs and the detections, which the tool and
    the workers exchange as files.
    """

    def __init__(self, sides: Sequence[Side], threads: int, folder: Path):
        self._sides = {side.name: side for side in sides}
        self._threads, self._folder = threads, Path(folder)
        self._workers: Dict[str, WorkerProcess] = {}
        self._stack = ExitStack()
        self._warm: Dict[str, float] = {}  # {side: seconds of its last call of the warm-up}
        self.about: Dict[str, Dict[str, str]] = {}  # {side: {package: version}}

    def __enter__(self) -> "RunningSides":
        with self._stack:  # ends the workers that run if a later one cannot be started
            for name, side in self._sides.items():
                worker = WorkerProcess(name, side.script, side.python, self._threads)
                self._workers[name] = self._stack.enter_context(worker)
                self.about[name] = worker.ask("load", job=side.job)
                progress.say(f"{name}: loaded, {versions(self.about[name])}")
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> Optional[bool]:
        return self._stack.__exit__(*error)

    def use(self, size: Tuple[int, int], batch: int) -> None:
        """Gives all sides ``batch`` images of a size (height, width), and warms them up."""
        path = random_data.write_inputs(self._folder / "inputs.npz", batch, size)
        progress.say(f"{size[0]}x{size[1]}, batch {batch}: {WARM_UP} calls of each side first")
        for name, worker in self._workers.items():
            worker.ask("use", path=str(path))
            self._warm[name] = worker.ask("time", count=WARM_UP)["wall"][-1]
            progress.say(f"  {name:22}{self._warm[name]:10.3f} s a call")

    def times(self, rounds: int) -> Dict[str, Dict[str, List[float]]]:
        """Returns {side: {clock: seconds}} of ``rounds`` rounds, each of one run of every side."""
        taken: Dict[str, Dict[str, List[float]]]
        taken = {name: {"wall": [], "cpu": []} for name in self._workers}
        one = sum(self._warm.values()) + PAUSE * len(self._warm)
        progress.say(
            f"{rounds} rounds of {len(taken)} sides: about {duration(rounds * one)}, "
            f"{duration(one)} each"
        )
        for number in range(rounds):
            left = duration((rounds - number) * one)
            progress.say(f"  round {number + 1} of {rounds}, about {left} left", BETWEEN_LINES)
            for name, worker in self._workers.items():
                for clock, seconds in worker.ask("time", count=1).items():
                    taken[name][clock] += seconds
        return taken

    def agreements(self, required: bool = True) -> Dict[str, Optional[float]]:
        """Returns what ``agreement.agreements`` returns of all sides."""
        return agreements(list(self._sides.values()), self._workers, self._folder, required)

    def peaks(self) -> Dict[str, int]:
        """Returns {side: largest resident memory during a run, in bytes}."""
        progress.say("the memory of each side")
        return {name: worker.ask("peak") for name, worker in self._workers.items()}

    def stages(self, count: int) -> Dict[str, Dict[str, float]]:
        """Returns {side: {stage: median seconds of ``count`` runs}} of the sides with stages."""
        progress.say(f"{count} runs of each side for the time of its parts")
        runs = {name: worker.ask("stages", count=count) for name, worker in self._workers.items()}
        return {
            name: {stage: float(np.median([run[stage] for run in taken])) for stage in taken[0]}
            for name, taken in runs.items()
            if taken
        }

    def floors(self) -> Dict[str, Dict[str, float]]:
        """Returns {side: {precision: multiply-adds a second}} of a large convolution alone."""
        progress.say("one large convolution of each side")
        floors = {name: worker.ask("floor") for name, worker in self._workers.items()}
        return {name: floor for name, floor in floors.items() if floor}
