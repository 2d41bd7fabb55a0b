"""A side of tools/benchmark.py that is made up; test_benchmark*.py run it as a worker."""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools/benchmark"))

import numpy as np
from protocol import Side, serve


class Fake(Side):
    """Finds three boxes, moved by the job's ``form`` pixels; or does what its name says."""

    def about(self):
        if self.job["form"] == "unloaded":
            raise ValueError("no such detector")
        if self.job["form"] == "environment":
            return dict(os.environ)
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
        return [i.shape[:2] for i in self.images]

    def found(self, result):
        boxes = np.tile([[10.0, 20, 50, 60]], (3, 1)) + np.arange(3)[:, None] * 40
        return [(boxes + float(self.job["form"]), np.ones(3), np.arange(3)) for _ in result]

    def stages(self, count):
        return [{"backbone": 1.0 + n, "total": 3.0} for n in range(count)]

    def floor(self):
        return {self.job["precision"]: 2e9}


serve(Fake)
