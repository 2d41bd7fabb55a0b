"""The asking end: a process for each side, alive throughout, idle while another one is timed."""

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

from limit import environment
from progress import progress

from detkit.errors import DetkitError

# OpenMP's threads spin for a while after their work before they sleep; who comes next must not be
# timed beside them.
PAUSE = 0.1
FOLDER = Path(__file__).parent


class BenchmarkError(DetkitError):
    """A side cannot be measured, or two sides do not find the same."""


class Worker:
    """A process that answers requests; use it as a context, which ends it.

    name: for messages. script: of this folder. python: the interpreter. threads: OpenMP's.
    """

    def __init__(self, name, script, python=None, threads=1):
        self.name = name
        command = [python or sys.executable, str(script)]
        counts = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **counts, **environment()},
                text=True,
                encoding="utf-8",
            )
        except OSError as error:
            raise BenchmarkError(
                f"{name}: {command[0]} cannot be started: {error.strerror}; --peer "
                f"{name.split()[0]}=PATH names an interpreter"
            ) from error

    def ask(self, do, **arguments):
        """What the process answers. Raises BenchmarkError where it failed or died."""
        time.sleep(PAUSE)
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            progress.wait(self._has_said, f"{self.name} ({do})")
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            status = self._process.wait()
            how = f"signal {-status}" if status < 0 else f"exit status {status}"
            raise BenchmarkError(
                f"{self.name}: its process ended with {how} when asked to {do}; what it said is "
                "above"
            )
        answer = json.loads(line)
        if "error" in answer:
            raise BenchmarkError(f"{self.name}: {do} failed:\n{answer['error'].rstrip()}")
        return answer["done"]

    def _has_said(self, seconds):
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.kill()  # nothing it holds is worth the time to free it
        self._process.wait()
        self._process.stdout.close()


def run_once(*arguments):
    """Let detkit's worker write a file, in a process of its own: none of that memory stays."""
    kind, model, *_ = arguments
    progress.say(f"{model}: writing {kind}")
    command = [sys.executable, FOLDER / "run_detkit.py", *arguments]
    with subprocess.Popen(list(map(str, command))) as process:
        progress.wait(lambda seconds: _has_ended(process, seconds), f"{kind} of {model}")
    if process.returncode:
        raise BenchmarkError(f"{kind} of {model} failed, see above")


def _has_ended(process, seconds):
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
