"""The worker of tools/benchmark_throughput.py that runs detkit's C++ program, tools/deploy/detect.

The program is started for each turn and killed at its end. Its start is not measured.
"""

import json
import subprocess
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

import detkit
from benchmark.detectors.worker import Answers, TimedDetector, answer
from benchmark.memory import resident

WARM_UP = 2  # runs of each thread
IMAGES = 20_000  # more than the program can finish in a turn


class Program(TimedDetector):
    """The program ``job["program"]`` on the export ``job["model"]``, with a thread a stream.

    A run of the program includes the reading of its PPM files and the writing of JSON.
    """

    def __init__(self, job: Dict[str, Any]):
        super().__init__(job)
        self.threads = job.get("streams", 1)
        self.folder = tempfile.TemporaryDirectory()
        self.files: List[str] = []

    def about(self) -> Dict[str, str]:
        return {"detkit": detkit.__version__}

    def use(self, images: np.ndarray, boxes: np.ndarray, labels: np.ndarray) -> None:
        """Writes the images into files, whose short names leave room for many on a command line."""
        self.files = []
        for number, image in enumerate(images):
            self.files.append(f"{number}.ppm")
            header = b"P6\n%d %d\n255\n" % image.shape[1::-1]
            Path(self.folder.name, self.files[-1]).write_bytes(header + image.tobytes())

    def start(self, count: int) -> "subprocess.Popen[str]":
        """Returns the program, which detects in ``count`` images."""
        options = ["--score", "0", "--batch", len(self.files), "--threads", self.threads]
        images = islice(cycle(self.files), count)
        command = [self.job["program"], self.job["model"], *options, *images]
        return subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, cwd=self.folder.name, text=True
        )

    def run(self) -> List[Dict[str, Any]]:
        """Returns what the program prints of each image of a batch."""
        with self.start(len(self.files)) as program:
            assert program.stdout is not None  # a pipe
            printed = [json.loads(line) for line in program.stdout]
        if program.returncode:
            raise RuntimeError(f"detect ended with {program.returncode}; its message is above")
        return printed

    def detections(
        self, result: List[Dict[str, Any]]
    ) -> List[Tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Returns what the program printed, as arrays."""
        found = [image["detections"] for image in result]
        return [
            (
                np.array([each["box"] for each in image]).reshape(-1, 4),
                np.array([each["score"] for each in image]),
                np.array([each["label"] for each in image], "int32"),
            )
            for image in found
        ]

    def work(self, seconds: float) -> Dict[str, Any]:
        """Returns the figures of worker.Answers.work.

        The program prints in the order of the images. Each time that it has printed a batch for
        every thread, every thread has made a run.
        """
        batches, ends, peak = self.threads * len(self.files), [], 0
        with self.start(IMAGES) as program:
            assert program.stdout is not None  # a pipe
            for number, _ in enumerate(program.stdout, 1):
                if number % batches:
                    continue
                ends.append(time.perf_counter())
                peak = resident("VmHWM", program.pid)
                if len(ends) > WARM_UP and ends[-1] - ends[WARM_UP - 1] >= seconds:
                    break
            else:
                raise RuntimeError(f"detect ended after {len(ends)} runs; its message is above")
            program.kill()
        taken = np.diff(ends[WARM_UP - 1 :]).tolist()
        return {"rate": self.threads * len(taken) / sum(taken), "seconds": taken, "peak": peak}


class ProgramAnswers(Answers):
    """The requests to a Program, whose threads are its own."""

    def work(self, seconds: float) -> Dict[str, Any]:
        """Returns the figures of Program.work."""
        return self._loaded.work(seconds)


if __name__ == "__main__":
    answer(ProgramAnswers(Program))
