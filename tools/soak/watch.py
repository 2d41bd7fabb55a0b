"""What a process has: memory, open files and threads, and how its memory grows."""

import os
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence

import numpy as np

from benchmark.memory import resident
from detkit.errors import DetkitError

MB = 1 << 20
LEAST_SAMPLES = 8  # two for each quarter
BOUND = 16.0  # MB; malloc and the caches of prepared layers settle within some thousand steps


class SoakError(DetkitError):
    """The memory, the open files or the threads of a part grow."""


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


def verdict(watch: Watch, bound: float) -> Dict[str, Any]:
    """Returns the samples of a part, its growth, and a line about each fault; prints a line."""
    samples = watch.samples
    if len(samples) < LEAST_SAMPLES:
        raise SoakError(
            f"{watch.name}: expected at least {LEAST_SAMPLES} samples, found {len(samples)}; make "
            "the soak longer, or --every smaller"
        )
    grown = growth(samples)
    faults: List[str] = []
    if grown > bound:
        faults.append(f"{watch.name}: memory: {grown:.1f} MB more, at most {bound:g} are allowed")
    for name in ("files", "threads"):
        count = more(samples, name)
        if count > 0:
            faults.append(f"{watch.name}: {name}: {count} more in the last quarter of the steps")
    print(
        f"{watch.name}: {samples[-1].step} steps, memory {samples[0].memory:.1f} MB at step "
        f"{samples[0].step}, {samples[-1].memory:.1f} MB at the end; growth from the second to the "
        f"last quarter {grown:+.1f} MB: {'GROWS' if faults else 'flat'}",
        flush=True,
    )
    fields = [sample._asdict() for sample in samples]
    return {"part": watch.name, "growth_mb": grown, "faults": faults, "samples": fields}


def refuse(verdicts: Sequence[Dict[str, Any]]) -> None:
    """Raises SoakError if one of the verdicts has a fault."""
    faults = [line for each in verdicts for line in each["faults"]]
    if faults:
        raise SoakError("expected a process that does not grow, found\n  " + "\n  ".join(faults))
