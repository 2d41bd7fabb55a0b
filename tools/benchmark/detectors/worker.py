"""The worker's end of tools/benchmark.py and tools/benchmark_throughput.py.

It answers requests, one JSON object a line.

A worker may run under another interpreter, which has neither detkit nor MXNet. This module and the
modules that it imports therefore need numpy alone.
"""

import json
import os
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from ..memory import reset_peak, resident

FOUND = ("boxes", "scores", "labels", "keypoints")  # the arrays of an image; the last may lack
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
FLOOR = (1, 256, 150, 200), 256, 3  # a large convolution: input, filters, kernel


class TimedDetector:
    """A detector of one framework in one form. A worker derives from it, and ``serve`` runs it.

    job: the dictionary of sides.Side. clock: the function that measures the stages.
    """

    def __init__(self, job: Dict[str, Any]):
        self.job, self.clock = job, CLOCKS[job["clock"]]

    def about(self) -> Dict[str, str]:
        """Returns {package: version}."""
        raise NotImplementedError

    def use(self, images: np.ndarray, boxes: np.ndarray, labels: np.ndarray) -> None:
        """Takes the inputs of all later runs.

        images: (B, H, W, 3) uint8 RGB. boxes (B, G, 4) in pixels and labels (B, G), 0 the first
        class: the objects of a training step.
        """
        raise NotImplementedError

    def run(self) -> Any:
        """Does what is timed: detects in the images, or takes one training step."""
        raise NotImplementedError

    def detections(self, result: Any) -> List[Tuple[np.ndarray, ...]]:
        """Returns boxes (n, 4), scores (n,), labels (n,) of each image from the result of run.

        Keypoints (n, J, 3) follow if the side has found them.
        """
        raise NotImplementedError

    def streams(self) -> List[Callable[[], Any]]:
        """Returns functions like ``run`` that several threads may call at the same time.

        There are ``job["streams"]`` functions, or one if the job does not say.
        """
        return [self.run] * self.job.get("streams", 1)

    def stages(self, count: int) -> List[Dict[str, float]]:
        """Returns {stage: seconds} of each of ``count`` runs, with "rest" and "total"."""
        return []

    def floor(self) -> Dict[str, float]:
        """Returns {precision: multiply-adds a second} of the convolution FLOOR alone."""
        return {}

    def shortest(self, call: Callable[[], Any], count: int = 9) -> float:
        """Returns the least seconds of ``count`` calls; a first call, not counted, prepares."""
        seconds = []
        for _ in range(1 + count):
            start = self.clock()
            call()
            seconds.append(self.clock() - start)
        return min(seconds[1:])


class Answers:
    """The requests: each method is one, and its arguments are the request's other keys."""

    def __init__(self, make: Callable[[Dict[str, Any]], TimedDetector]):
        self._make = make
        self._detector: Optional[TimedDetector] = None
        self._streams: List[Callable[[], Any]] = []

    def load(self, job: Dict[str, Any]) -> Dict[str, str]:
        """Makes the detector of a job; returns its versions."""
        self._detector = self._make(job)
        return self._detector.about()

    def use(self, path: str) -> None:
        """Reads the inputs of all later runs from an .npz."""
        with np.load(path) as file:
            self._loaded.use(file["images"], file["boxes"], file["labels"])
        self._streams = self._loaded.streams()

    def time(self, count: int) -> Dict[str, List[float]]:
        """Returns the seconds of each of ``count`` runs: "wall", and "cpu", of all threads."""
        taken: Dict[str, List[float]] = {name: [] for name in CLOCKS}
        for _ in range(count):
            before = {name: clock() for name, clock in CLOCKS.items()}
            self._loaded.run()
            for name, clock in CLOCKS.items():
                taken[name].append(clock() - before[name])
        return taken

    def work(self, seconds: float) -> Dict[str, Any]:
        """Runs all streams at the same time, each until ``seconds`` have passed, at least once.

        Returns "rate", the runs a second of all streams together, "seconds", those of each run, and
        "peak", the largest resident memory in bytes.
        """
        reset_peak()
        if len(self._streams) == 1:  # in the thread that OpenMP knows
            taken = [repeated(self._streams[0], seconds)]
        else:
            with ThreadPoolExecutor(len(self._streams)) as threads:
                taken = list(threads.map(lambda run: repeated(run, seconds), self._streams))
        return {
            "rate": sum(len(runs) / sum(runs) for runs in taken),
            "seconds": [run for runs in taken for run in runs],
            "peak": resident("VmHWM"),
        }

    def detections(self, path: str) -> None:
        """Writes the detections of a run: boxes_0, scores_0, labels_0 of the first image, ..."""
        arrays = {}
        for number, image in enumerate(self._loaded.detections(self._loaded.run())):
            for name, array in zip(FOUND, image):
                arrays[f"{name}_{number}"] = array
        np.savez(path, **arrays)

    def peak(self) -> int:
        """Returns the largest resident memory during a run, in bytes."""
        reset_peak()
        self._loaded.run()
        return resident("VmHWM")

    def stages(self, count: int) -> List[Dict[str, float]]:
        return self._loaded.stages(count)

    def floor(self) -> Dict[str, float]:
        return self._loaded.floor()

    @property
    def _loaded(self) -> TimedDetector:
        if self._detector is None:
            raise RuntimeError("expected the request 'load' before any other, found none")
        return self._detector


def repeated(run: Callable[[], Any], seconds: float) -> List[float]:
    """Returns the seconds of each run; the last run begins before ``seconds`` have passed."""
    times = [time.perf_counter()]
    while len(times) == 1 or times[-1] - times[0] < seconds:
        run()
        times.append(time.perf_counter())
    return [after - before for before, after in zip(times, times[1:])]


def serve(make: Callable[[Dict[str, Any]], TimedDetector]) -> None:
    """Answers requests about the TimedDetector that ``make`` returns for a job."""
    answer(Answers(make))


def answer(requests: Any) -> None:
    """Answers requests until the input ends. Each is a method of ``requests``.

    An answer is {"done": ...}, or {"error": traceback} of a request that failed. The standard
    output of the frameworks is redirected to standard error, so that it cannot mix with the
    answers.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        request = json.loads(line)
        try:
            found = {"done": getattr(requests, request.pop("do"))(**request)}
        except Exception:
            found = {"error": traceback.format_exc()}
        print(json.dumps(found), file=answers, flush=True)
