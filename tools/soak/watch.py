"""What a process has: memory, open files and threads, and how its memory grows."""

import os
import time
from pathlib import Path
from typing import List, NamedTuple, Sequence

import numpy as np

from benchmark.memory import resident

MB = 1 << 20


class Sample(NamedTuple):
    """A measurement: steps made, resident memory in MB, open files, threads, steps a second."""

    step: int
    memory: float
    files: int
    threads: int
    rate: float


class Watch:
    """The samples of a part of a soak; a line is printed for each.

    name: the part's name, for the lines. every: the number of steps between two samples.
    """

    def __init__(self, name: str, every: int) -> None:
        self.name, self._every = name, every
        self.samples: List[Sample] = []
        self.begin()

    def begin(self) -> None:
        """Starts the clock at step 0."""
        self._step, self._began = 0, time.perf_counter()

    def is_due(self, step: int) -> bool:
        """Returns whether a sample is taken after this step."""
        return step % self._every == 0

    def take(self, step: int) -> None:
        """Takes a sample after ``step`` steps."""
        now = time.perf_counter()
        rate = (step - self._step) / (now - self._began)
        self._step, self._began = step, now
        sample = Sample(
            step,
            resident("VmRSS") / MB,
            len(os.listdir("/proc/self/fd")) - 1,  # the listing itself has one open
            len(list(Path("/proc/self/task").iterdir())),
            rate,
        )
        self.samples.append(sample)
        print(
            f"{self.name} step {step}: {sample.memory:.1f} MB, {sample.files} files, "
            f"{sample.threads} threads, {rate:.1f} steps/s",
            flush=True,
        )


def growth(samples: Sequence[Sample]) -> float:
    """Returns the growth of the memory from the second quarter of the steps to the last, in MB.

    It is that of the straight line of least squares through the samples after the first quarter,
    between the middles of the two quarters, which are half of the steps apart.
    """
    steps = np.array([sample.step for sample in samples], float)
    late = steps > steps[-1] / 4
    memory = np.array([sample.memory for sample in samples])
    slope = np.polyfit(steps[late], memory[late], 1)[0]
    return float(slope * steps[-1] / 2)


def more(samples: Sequence[Sample], name: str) -> int:
    """Returns by how much the largest ``files`` or ``threads`` of the last quarter is larger.

    It is compared with the largest of the second quarter.
    """
    last = samples[-1].step
    quarters = ((0.25, 0.5), (0.75, 1.0))
    before, after = (
        max(getattr(s, name) for s in samples if low * last < s.step <= high * last)
        for low, high in quarters
    )
    return int(after - before)
