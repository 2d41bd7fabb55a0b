"""A worker of tools/benchmark.py without a framework; test_benchmark*.py run it as a side.

Its ``form`` is a number of pixels, by which its three boxes are moved, or the name of a behaviour.
"""

import os
import time

import numpy as np

from benchmark.detectors.worker import TimedDetector, serve


class Fake(TimedDetector):
    """A detector that finds three boxes."""

    def about(self):
        if self.job["form"] == "unloaded":
            raise ValueError("no such detector")
        if self.job["form"] == "environment":
            return {**os.environ, "cpus": str(sorted(os.sched_getaffinity(0)))}
        return {"fake": "1.0"}

    def use(self, images, boxes, labels):
        self.images = images
        assert images.dtype == "uint8" and len(boxes) == len(labels) == len(images)

    def run(self):
        print("not an answer")
        if self.job["form"] == "dying":
            os._exit(3)
        if self.job["form"] == "slow":
            time.sleep(0.5)
        if self.job["form"] == "steady":
            time.sleep(0.05)
        return [i.shape[:2] for i in self.images]

    def detections(self, result):
        moved = 0.0 if self.job["form"] == "steady" else float(self.job["form"])
        boxes = np.tile([[10.0, 20, 50, 60]], (3, 1)) + np.arange(3)[:, None] * 40
        return [(boxes + moved, np.ones(3), np.arange(3)) for _ in result]

    def stages(self, count):
        return [{"backbone": 1.0 + n, "total": 3.0} for n in range(count)]

    def floor(self):
        return {self.job["precision"]: 2e9}


if __name__ == "__main__":
    serve(Fake)
