"""The sides of tools/benchmark_convs.py, and the workers that measure them at one point."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Optional

import numpy as np

from ..detectors.progress import duration, progress
from ..detectors.worker_process import PAUSE, WorkerProcess
from ..errors import BenchmarkError
from ..instruction_limit import why_left_out
from ..worker_environment import KEEP_MEMORY
from .networks import Chain

FOLDER = Path(__file__).resolve().parent
OURS, REFERENCE = "detkit", "mxnet"
PEERS = {  # the sides of each peer
    "torch": ("torch", "torch channels_last"),
    "openvino": ("openvino",),
    "ncnn": ("ncnn winograd", "ncnn direct"),
}
TRAINABLE = (OURS, REFERENCE, *PEERS["torch"])
# The largest difference of two results, divided by the largest value.
TOLERANCE = 1e-3


class Side(NamedTuple):
    """One framework's convolutions in one form, which a worker process of its own runs.

    name: the form, and the name in tables. script: the file that the worker runs. python: its
    interpreter; None for the interpreter of the tool.
    """

    name: str
    script: Path
    python: Optional[str]


class Point(NamedTuple):
    """The input of all sides. training: whether the backward pass is run, too."""

    chains: List[Chain]
    batch: int
    training: bool

    def arguments(self) -> Dict[str, Any]:
        """Returns the arguments of some requests of worker.Answers."""
        return {"chains": [chain[1:] for chain in self.chains], "batch": self.batch}


def left_out(peers: Collection[str]) -> Dict[str, str]:
    """Returns {peer: why DETKIT_ISA leaves it out}."""
    reasons = {peer: why_left_out(peer, "fp32") for peer in peers}
    return {peer: reason for peer, reason in reasons.items() if reason}


def sides_of(peers: Mapping[str, Optional[str]], training: bool) -> List[Side]:
    """Returns the sides, detkit's first. peers: {name of PEERS: its interpreter}."""
    sides = [Side(name, FOLDER / "worker_mxnet.py", None) for name in (OURS, REFERENCE)]
    for peer, python in peers.items():
        sides += [Side(name, FOLDER / f"worker_{peer}.py", python) for name in PEERS[peer]]
    return [side for side in sides if side.name in TRAINABLE or not training]


class RunningSides:
    """A context that holds a worker for each side, at one point.

    The workers are new at each point, so that their memory is of this point alone. threads: of each
    worker. folder: for the results, which the tool and the workers exchange as files.
    """

    def __init__(self, sides: List[Side], point: Point, threads: int, folder: Path):
        self._sides, self._point, self._threads, self._folder = sides, point, threads, folder
        self._workers: Dict[str, WorkerProcess] = {}
        self._stack = ExitStack()
        self.about: Dict[str, Dict[str, str]] = {}  # {side: {package: version}}

    def __enter__(self) -> "RunningSides":
        with self._stack:  # ends the workers that run if a later one cannot be started
            for name, script, python in self._sides:
                worker = WorkerProcess(name, script, python, self._threads, KEEP_MEMORY)
                self._workers[name] = self._stack.enter_context(worker)
                job = {**self._point.arguments(), "training": self._point.training}
                self.about[name] = worker.ask("load", form=name, **job)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> Optional[bool]:
        return self._stack.__exit__(*error)

    def rates(self) -> Dict[str, float]:
        """Returns the machine's rates, see worker_mxnet.py."""
        progress.say("the rates of the machine")
        return self._workers[OURS].ask("rates")

    def workspace(self) -> Dict[str, int]:
        """Returns the bytes that detkit's operator works in, see worker_mxnet.py."""
        return self._workers[OURS].ask("workspace", **self._point.arguments())

    def memory(self) -> Dict[str, int]:
        """Returns {side: growth of its memory in bytes}; these runs are the first of all."""
        progress.say("the memory of each side")
        return {name: worker.ask("memory") for name, worker in self._workers.items()}

    def differences(self, required: bool = True) -> Dict[str, float]:
        """Returns {side: largest difference from REFERENCE, divided by the largest value}.

        Raises BenchmarkError if ``required`` and a difference is above TOLERANCE.
        """
        progress.say("the results of each side")
        largest = dict.fromkeys(self._workers, 0.0)
        for number, chain in enumerate(self._point.chains):
            expected = self._arrays(REFERENCE, number)
            for name in self._workers:
                place = f"{name}, {chain.name}"
                found = difference(place, self._arrays(name, number), expected)
                if required and not found <= TOLERANCE:
                    raise BenchmarkError(
                        f"{place}: expected results within {TOLERANCE:g} of those of "
                        f"{REFERENCE}, as a part of the largest value, found {found:.2g}: they do "
                        "not compute the same; --no-compare measures them nevertheless"
                    )
                largest[name] = max(largest[name], found)
        return largest

    def _arrays(self, name: str, number: int) -> Dict[str, np.ndarray]:
        path = self._folder / "arrays.npz"
        self._workers[name].ask("arrays", number=number, path=str(path))
        with np.load(path) as file:
            return dict(file)

    def times(self, rounds: int) -> Dict[str, List[List[float]]]:
        """Returns {side: seconds of each chain in each of ``rounds`` rounds} of all sides."""
        taken: Dict[str, List[List[float]]] = {name: [] for name in self._workers}
        last = {name: sum(worker.ask("time")) for name, worker in self._workers.items()}
        one = sum(last.values()) + PAUSE * len(last)
        progress.say(f"{rounds} rounds of {len(last)} sides: about {duration(rounds * one)}")
        for _ in range(rounds):
            for name, worker in self._workers.items():
                taken[name].append(worker.ask("time"))
        return taken


def difference(
    place: str, found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> float:
    """Returns the largest difference of some arrays from others, divided by the largest value.

    place: for messages. Raises BenchmarkError if two arrays have different sizes.
    """
    largest = 0.0
    for name, array in expected.items():
        if array.shape != found[name].shape:
            raise BenchmarkError(
                f"{place}: the array {name!r}: expected {array.size} values, found "
                f"{found[name].size}"
            )
        largest = max(largest, float(np.abs(found[name] - array).max() / np.abs(array).max()))
    return largest
