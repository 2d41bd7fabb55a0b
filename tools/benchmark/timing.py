"""Measures the sides of a case against each other, and the machine itself."""

import time
from typing import Callable, Dict, NamedTuple

import numpy as np

TOO_LONG = 5.0  # seconds; a peer that would take longer is not run
FEWEST, MOST = 3, 300  # turns
BURST = 0.01  # seconds that a turn takes at least, in as many calls as that is


class Side(NamedTuple):
    """``call()`` is timed; ``result`` makes of what it returns a list of numpy arrays."""

    call: Callable
    result: Callable


class Case(NamedTuple):
    """One operator on one input.

    op and size: the time of an operator grows with the size to the power of ``growth``.
    sides: detkit's first; all results have to agree within ``tolerance`` (absolute).
    moved, operations: bytes and multiply-adds that no implementation can do without.
    """

    op: str
    size: int
    sides: Dict[str, Side]
    tolerance: float
    moved: float
    operations: float
    growth: int = 1
    name: str = ""


class Disagreement(Exception):
    """Two sides give different results."""


class Clock:
    """Times cases; remembers how long each side of an operator took, to leave out the slow."""

    def __init__(self, seconds):
        self._seconds, self._taken = seconds, {}

    def measure(self, case):
        """``{"milliseconds": {side: median}, "left_out": {side: seconds it would take}}``.

        Raises Disagreement.
        """
        left_out = {side: self._expected(case, side) for side in case.sides}
        left_out = {side: expected for side, expected in left_out.items() if expected > TOO_LONG}
        sides = {name: side for name, side in case.sides.items() if name not in left_out}
        agree(case, sides)
        times = alternate(sides, self._seconds)
        medians = {name: float(np.median(taken)) for name, taken in times.items()}
        for name, median in medians.items():
            self._taken[case.op, name] = case.size, median
        return {
            "milliseconds": {name: 1e3 * median for name, median in medians.items()},
            "repeats": len(times["detkit"]),
            "left_out": left_out,
        }

    def _expected(self, case, side):
        size, seconds = self._taken.get((case.op, side), (1, 0.0))
        return 0.0 if side == "detkit" else seconds * (case.size / size) ** case.growth


def agree(case, sides):
    """Raises Disagreement unless all sides give what detkit gives."""
    results = {name: side.result(side.call()) for name, side in sides.items()}
    for name, result in results.items():
        for number, (ours, theirs) in enumerate(zip(results["detkit"], result)):
            place = f"{case.name}: result {number} of detkit and {name}"
            if ours.shape != theirs.shape:
                raise Disagreement(f"{place}: shapes {ours.shape} and {theirs.shape}")
            difference = np.abs(ours.astype("float64") - theirs)
            if not np.all(difference <= case.tolerance):
                count = np.sum(~(difference <= case.tolerance))
                raise Disagreement(
                    f"{place}: {count} of {ours.size} differ by more than {case.tolerance:g}, "
                    f"at most by {difference.max():g}"
                )


def alternate(sides, seconds):
    """Call the sides in turn for about ``seconds`` each: {name: times in seconds}.

    A fast one is called several times in its turn, and the mean counts: else it is the waking of
    MXNet's sleeping worker that is measured, which no operator within a network waits for.
    """
    bursts = {name: max(1, round(BURST / seconds_of(side.call))) for name, side in sides.items()}
    times = {name: [] for name in sides}
    end = time.perf_counter() + seconds * len(sides)
    while len(times["detkit"]) < MOST:
        for name, side in sides.items():
            start = time.perf_counter()
            for _ in range(bursts[name]):
                side.call()
            times[name].append((time.perf_counter() - start) / bursts[name])
        if time.perf_counter() > end and len(times["detkit"]) >= FEWEST:
            break
    return times


def machine():
    """What this machine does on these threads: bytes (read and written) and multiply-adds a second.

    A copy of 128 MiB, which no cache holds, and the product of two matrices.
    """
    source = np.ones(2**25, "float32")
    target = np.zeros_like(source)
    copied = min(seconds_of(lambda: np.copyto(target, source)) for _ in range(7))
    side = 1024
    a, b = np.ones((side, side), "float32"), np.ones((side, side), "float32")
    multiplied = min(seconds_of(lambda: a @ b) for _ in range(7))
    return {"bytes": 2 * source.nbytes / copied, "operations": side**3 / multiplied}


def seconds_of(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak_growth(call):
    """By how many bytes the resident memory of this process grows, at its peak, during a call."""
    forget_peak()
    before = resident("VmRSS")
    call()
    return resident("VmHWM") - before


def forget_peak():
    """Let VmHWM, the largest resident memory of this process, begin anew."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def resident(name):
    with open("/proc/self/status", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith(name + ":"))
    return 1024 * int(line.split()[1])
