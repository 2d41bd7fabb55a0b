"""The ways to share cores in tools/benchmark_throughput.py, and the workers of one way."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from . import random_data
from .agreement import agreements
from .progress import duration, progress
from .report import versions
from .sides import Side
from .worker_process import PAUSE, WorkerProcess, ask_all

WARM_UP = 2  # runs
LEAST_RUNS = 4  # in a round of one instance; the last may overlap less with those of the others
# The operators that MXNet runs at once. Without it, all streams of a process wait for one thread.
MXNET_STREAMS = "MXNET_CPU_WORKER_NTHREADS"


class Way(NamedTuple):
    """A way to share cores: processes, streams in each of them, and OpenMP's threads in each.

    Attributes:
        name: one of WAYS.
        instances: processes, each limited to its share of the cores.
        streams: threads of a process that detect at the same time.
        threads: OpenMP's in each stream.
        batch: images in one run.
    """

    name: str
    instances: int
    streams: int
    threads: int
    batch: int

    def __str__(self) -> str:
        counts = (self.instances, "process", "es"), (self.streams, "stream", "s")
        several = [f"{n} {word}{plural}" for n, word, plural in counts if n > 1]
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        each = " each" if several else ""
        return ", ".join([*several, f"{threads}{each}, batch {self.batch}"])


WAYS = {  # {name: what it is}
    "single": "one process, one image at a time on all cores",
    "batch": "one process, a batch at a time on all cores",
    "instances": "a process for each core",
    "streams": "one process, with a thread for each core",
}


def ways_of(names: Sequence[str], cores: int, batch: int) -> List[Way]:
    """Returns the ways of some names of WAYS that differ on a number of cores."""
    ways = [Way("single", 1, 1, cores, 1)]
    if batch > 1:
        ways.append(Way("batch", 1, 1, cores, batch))
    if cores > 1:
        ways += [Way("instances", cores, 1, 1, 1), Way("streams", 1, cores, 1, 1)]
    return [way for way in ways if way.name in names]


class RunningWay:
    """A context that holds the workers of all sides in one way.

    cpus: a CPU for each core. folder: for the inputs and the detections, which the tool and the
    workers exchange as files.
    """

    def __init__(self, way: Way, sides: Sequence[Side], cpus: Sequence[int], folder: Path):
        self._way, self._sides, self._cpus, self._folder = way, sides, list(cpus), Path(folder)
        self._workers: Dict[str, List[WorkerProcess]] = {}
        self._stack = ExitStack()
        self._latencies: Dict[str, float] = {}  # {side: seconds of its last run of the warm-up}
        self.about: Dict[str, Dict[str, str]] = {}  # {side: {package: version}}

    def __enter__(self) -> "RunningWay":
        with self._stack:  # ends the workers that run if a later one cannot be started
            for side in self._sides:
                workers = [self._worker(side, number) for number in range(self._way.instances)]
                self._workers[side.name] = workers
                job = {**side.job, "streams": self._way.streams}
                self.about[side.name] = ask_all(workers, "load", job=job)[0]
                progress.say(f"{side.name}: loaded, {versions(self.about[side.name])}")
            self._stack = self._stack.pop_all()
        return self

    def _worker(self, side: Side, number: int) -> WorkerProcess:
        """Returns an instance, which has its share of the cores for itself."""
        way = self._way
        share = len(self._cpus) // way.instances
        worker = WorkerProcess(
            side.name,
            side.script,
            side.python,
            way.threads,
            {MXNET_STREAMS: str(way.streams)} if way.streams > 1 else {},
            self._cpus[number * share : (number + 1) * share],
        )
        return self._stack.enter_context(worker)

    def __exit__(self, *error: Any) -> Optional[bool]:
        return self._stack.__exit__(*error)

    def use(self, size: Tuple[int, int]) -> None:
        """Gives all sides a batch of images of a size (height, width), and warms them up."""
        batch = self._way.batch
        path = random_data.write_inputs(self._folder / "inputs.npz", batch, size)
        progress.say(f"{size[0]}x{size[1]}, {self._way}: {WARM_UP} runs of each side first")
        for name, workers in self._workers.items():
            ask_all(workers, "use", path=str(path))
            for _ in range(WARM_UP):
                answers = ask_all(workers, "work", seconds=0)
            self._latencies[name] = max(max(answer["seconds"]) for answer in answers)
            progress.say(f"  {name:22}{self._latencies[name]:10.3f} s a run")

    def agreements(self, required: bool = True) -> Dict[str, Optional[float]]:
        """Returns what ``agreement.agreements`` returns of the first instance of each side."""
        workers = {name: workers[0] for name, workers in self._workers.items()}
        return agreements(self._sides, workers, self._folder, required)

    def measure(self, rounds: int, seconds: float) -> Dict[str, Dict[str, List[float]]]:
        """Returns the figures of ``rounds`` rounds, in each of which every side works in turn.

        seconds: the least time of a turn; a slow side takes longer. Returns {side: {"rates": images
        a second in each round, "latencies": seconds of each run, "peaks": bytes in each round}}. A
        peak is the sum of all instances.
        """
        turns = {n: max(seconds, LEAST_RUNS * one) for n, one in self._latencies.items()}
        one = sum(turns.values()) + PAUSE * len(turns)
        progress.say(f"{rounds} rounds: about {duration(rounds * one)}, {duration(one)} each")
        measured: Dict[str, Dict[str, List[float]]]
        measured = {name: {"rates": [], "latencies": [], "peaks": []} for name in self._workers}
        for number in range(rounds):
            progress.say(f"  round {number + 1} of {rounds}")
            for name, workers in self._workers.items():
                answers = ask_all(workers, "work", seconds=turns[name])
                rate = sum(answer["rate"] for answer in answers)
                measured[name]["rates"].append(self._way.batch * rate)
                measured[name]["peaks"].append(sum(answer["peak"] for answer in answers))
                for answer in answers:
                    measured[name]["latencies"] += answer["seconds"]
        return measured
