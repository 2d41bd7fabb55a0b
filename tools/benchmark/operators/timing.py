"""Times the implementations of an operator in turn, and the machine, for tools/benchmark_ops.py."""

import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Tuple

import numpy as np

from ..errors import BenchmarkError
from ..memory import reset_peak, resident

TOO_LONG = 5.0  # seconds; an implementation that would take longer is not run
FEWEST, MOST = 3, 300  # turns
BURST = 0.01  # seconds; a turn has as many calls as it takes to last this long


class Implementation(NamedTuple):
    """One implementation of an operator on given inputs.

    ``call()`` is timed. ``result`` turns the value that it returns into a list of numpy arrays.
    """

    call: Callable[[], Any]
    result: Callable[[Any], List[np.ndarray]]


class Case(NamedTuple):
    """One operator on one input.

    Attributes:
        op, size, growth: the time of an operator grows with the size to the power of ``growth``.
        implementations: detkit's first.
        tolerance: the largest absolute difference of two results.
        moved, operations: bytes and multiply-adds that every implementation needs.
    """

    op: str
    size: int
    implementations: Dict[str, Implementation]
    tolerance: float
    moved: float
    operations: float
    growth: int = 1
    name: str = ""


class Clock:
    """A clock for cases. It leaves out implementations that were slow on a smaller size.

    seconds: for each implementation of a case.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._taken: Dict[Tuple[str, str], Tuple[int, float]] = {}  # (op, name): size, seconds

    def measure(self, case: Case) -> Dict[str, Any]:
        """Returns {"milliseconds": {name: median}, "repeats", "left_out": {name: seconds}}.

        The seconds of an implementation that is left out are an estimate. Raises BenchmarkError if
        two implementations disagree.
        """
        expected = {name: self._expected(case, name) for name in case.implementations}
        left_out = {name: seconds for name, seconds in expected.items() if seconds > TOO_LONG}
        compared = {n: each for n, each in case.implementations.items() if n not in left_out}
        check_agreement(case, compared)
        times = alternate(compared, self._seconds)
        medians = {name: float(np.median(taken)) for name, taken in times.items()}
        for name, median in medians.items():
            self._taken[case.op, name] = case.size, median
        return {
            "milliseconds": {name: 1e3 * median for name, median in medians.items()},
            "repeats": len(times["detkit"]),
            "left_out": left_out,
        }

    def _expected(self, case: Case, name: str) -> float:
        size, seconds = self._taken.get((case.op, name), (1, 0.0))
        return 0.0 if name == "detkit" else seconds * (case.size / size) ** case.growth


def check_agreement(case: Case, implementations: Mapping[str, Implementation]) -> None:
    """Raises BenchmarkError unless all implementations give detkit's results."""
    results = {name: each.result(each.call()) for name, each in implementations.items()}
    for name, result in results.items():
        for number, (ours, theirs) in enumerate(zip(results["detkit"], result)):
            place = f"{case.name}: result {number} of detkit and {name}"
            if ours.shape != theirs.shape:
                raise BenchmarkError(
                    f"{place}: expected the shape {ours.shape}, found {theirs.shape}"
                )
            difference = np.abs(ours.astype("float64") - theirs)
            if not np.all(difference <= case.tolerance):
                count = np.sum(~(difference <= case.tolerance))
                raise BenchmarkError(
                    f"{place}: expected differences up to {case.tolerance:g}, found {count} of "
                    f"{ours.size} above it, the largest {difference.max():g}"
                )


def alternate(
    implementations: Mapping[str, Implementation], seconds: float
) -> Dict[str, List[float]]:
    """Calls the implementations in turn for about ``seconds`` each; returns {name: seconds}.

    A fast implementation is called several times in its turn, and the mean counts. A single call
    would measure the time in which MXNet's sleeping worker wakes up, which an operator within a
    network does not have.
    """
    bursts = {
        name: max(1, round(BURST / seconds_of(each.call))) for name, each in implementations.items()
    }
    times: Dict[str, List[float]] = {name: [] for name in implementations}
    end = time.perf_counter() + seconds * len(implementations)
    while len(times["detkit"]) < MOST:
        for name, implementation in implementations.items():
            start = time.perf_counter()
            for _ in range(bursts[name]):
                implementation.call()
            times[name].append((time.perf_counter() - start) / bursts[name])
        if time.perf_counter() > end and len(times["detkit"]) >= FEWEST:
            break
    return times


def machine_rates() -> Dict[str, float]:
    """Returns the "bytes" (read and written) and "operations" (multiply-adds) a second.

    They are measured by a copy of 128 MiB, which exceeds the caches, and by the product of two
    matrices.
    """
    source = np.ones(2**25, "float32")
    target = np.zeros_like(source)
    copied = min(seconds_of(lambda: np.copyto(target, source)) for _ in range(7))
    n = 1024
    a, b = np.ones((n, n), "float32"), np.ones((n, n), "float32")
    multiplied = min(seconds_of(lambda: a @ b) for _ in range(7))
    return {"bytes": 2 * source.nbytes / copied, "operations": n**3 / multiplied}


def seconds_of(call: Callable[[], object]) -> float:
    """Returns how long a call takes, in seconds."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak_growth(call: Callable[[], object]) -> int:
    """Returns by how many bytes the resident memory grows, at its peak, during a call."""
    reset_peak()
    before = resident("VmRSS")
    call()
    return resident("VmHWM") - before
