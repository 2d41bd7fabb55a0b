"""The steps of a run: each is done once, and an interruption keeps its time."""

import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Sequence

from detkit.errors import DetkitError
from detkit.files.disk import make_folder

from .records import read_json, write_json

TOOLS = Path(__file__).resolve().parents[1]
NAME = "account.json"


class StepError(DetkitError):
    """A step of a run failed; its output is above."""


class Account:
    """The steps that were done in a folder, {step: {seconds, cpu_seconds, done}}, on disk.

    A step that was interrupted keeps the time of its attempts and goes on at the next one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_folder(folder)
        self.steps: Dict[str, Dict[str, Any]] = read_json(folder / NAME) or {}

    def run(self, step: str, *command: object) -> None:
        """Runs a tool of detkit, or another command, unless the step was done.

        command: the name of a file of tools/ with its arguments, or an interpreter with a script.
        The output is appended to ``folder``/STEP.log. Raises StepError if the command fails.
        """
        if self.is_done(step):
            return
        words = [str(word) for word in command]
        if words[0].endswith(".py"):
            words = [sys.executable, str(TOOLS / words[0]), *words[1:]]
        print(f"{self.folder.name}: {step}", flush=True)
        log = self.folder / f"{step}.log"
        with log.open("ab") as output:
            status = self._timed(step, words, output)
        if status:
            tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise StepError(f"{' '.join(words)}\n{tail}\nexpected the status 0, found {status}")
        self._steps_at(step)["done"] = True
        self._write()

    def is_done(self, step: str) -> bool:
        """Returns whether the step was done, at this or an earlier call."""
        return bool(self.steps.get(step, {}).get("done"))

    def minutes(self, *steps: str) -> float:
        """Returns the minutes of some steps together, by the clock."""
        return self._sum("seconds", steps) / 60

    def cpu_minutes(self, *steps: str) -> float:
        """Returns the minutes of the processor that some steps took together."""
        return self._sum("cpu_seconds", steps) / 60

    def _sum(self, kind: str, steps: Sequence[str]) -> float:
        return sum(self.steps[step][kind] for step in steps if step in self.steps)

    def _timed(self, step: str, words: Sequence[str], output: Any) -> int:
        """Runs a command and adds its time, also if this process is interrupted meanwhile."""
        began, used = time.monotonic(), _used()
        process = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT)
        try:
            return process.wait()
        finally:
            if process.poll() is None:  # the training saves what it has
                process.terminate()
                process.wait()
            record = self._steps_at(step)
            record["seconds"] += time.monotonic() - began
            record["cpu_seconds"] += _used() - used
            self._write()

    def _steps_at(self, step: str) -> Dict[str, Any]:
        return self.steps.setdefault(step, {"seconds": 0.0, "cpu_seconds": 0.0, "done": False})

    def _write(self) -> None:
        write_json(self.folder / NAME, self.steps)


def _used() -> float:
    """Returns the processor's seconds of all processes that this one has waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
