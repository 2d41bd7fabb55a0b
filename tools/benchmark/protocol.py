"""The answering end of tools/benchmark.py: requests on standard input, one JSON object a line.

A worker runs under another interpreter, which may have neither detkit nor MXNet: this file and what
it imports need numpy alone.
"""

import json
import os
import sys
import time
import traceback

import numpy as np
import timing

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
FLOOR = (1, 256, 150, 200), 256, 3  # a large convolution: input, filters, kernel


class Side:
    """One framework with one detector, in one form: what a worker derives and ``serve`` drives.

    job: the dictionary of plan.py. clock: the function that stages are timed by.
    """

    def __init__(self, job):
        self.job, self.clock = job, CLOCKS[job["clock"]]

    def about(self):
        """{name: version} of what is measured."""
        raise NotImplementedError

    def use(self, images, boxes, labels):
        """Take the images (B, H, W, 3) uint8 RGB that are run from now on; for training also the
        objects, boxes (B, G, 4) and labels (B, G), 0 the first class."""
        raise NotImplementedError

    def run(self):
        """What is timed: from the images to what ``found`` takes, or one step of training."""
        raise NotImplementedError

    def found(self, result):
        """[(boxes (n, 4), scores (n,), labels (n,))] of each image, out of what ``run`` gave."""
        raise NotImplementedError

    def stages(self, count):
        """[{stage: seconds}] of each of so many runs, "rest" and "total" among them."""
        return []

    def floor(self):
        """{precision: multiply-adds a second} of the convolution FLOOR alone."""
        return {}

    def shortest(self, call, count=9):
        """Seconds of a call, at least; the first, which may prepare something, does not count."""
        seconds = []
        for _ in range(1 + count):
            start = self.clock()
            call()
            seconds.append(self.clock() - start)
        return min(seconds[1:])


class Answers:
    """The requests: each method is one, its arguments are the request's other keys."""

    def __init__(self, make):
        self._make, self._side = make, None

    def load(self, job):
        self._side = self._make(job)
        return self._side.about()

    def use(self, path):
        with np.load(path) as file:
            self._side.use(file["images"], file["boxes"], file["labels"])

    def time(self, count):
        """{"wall": seconds of each of so many runs, "cpu": those of all threads together}."""
        taken = {name: [] for name in CLOCKS}
        for _ in range(count):
            before = {name: clock() for name, clock in CLOCKS.items()}
            self._side.run()
            for name, clock in CLOCKS.items():
                taken[name].append(clock() - before[name])
        return taken

    def found(self, path):
        """Write the detections of a run: boxes_0, scores_0, labels_0 of the first image, ..."""
        arrays = {}
        for number, image in enumerate(self._side.found(self._side.run())):
            for name, array in zip(("boxes", "scores", "labels"), image):
                arrays[f"{name}_{number}"] = array
        np.savez(path, **arrays)

    def peak(self):
        """Bytes of resident memory during a run, at most."""
        timing.forget_peak()
        self._side.run()
        return timing.resident("VmHWM")

    def stages(self, count):
        return self._side.stages(count)

    def floor(self):
        return self._side.floor()


def serve(make):
    """Answer until the input ends: {"done": ...}, or {"error": traceback} of a request that failed.

    make: job -> Side. What a framework prints goes to standard error, not among the answers.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests = Answers(make)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"done": getattr(requests, request.pop("do"))(**request)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)
