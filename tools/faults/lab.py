"""Trainings in processes of their own, and the comparison of what they leave."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Sequence

from detkit.checkpoints import find_best, numbered
from detkit.errors import DetkitError
from detkit.files.lock import LOCK
from support import tiny

ROOT = Path(__file__).resolve().parents[2]
# A checkpoint after each step and an evaluation after each epoch: there is always something to
# interrupt.
OVERRIDES = (
    "data.train.length=24",
    "train.epochs=5",
    "train.checkpoint_every={steps: 1}",
    "train.keep=3",
)
# MXNet's own handler of SIGSEGV ends the process with the status 255 and without a core.
STACKS = """
import faulthandler

signal.signal(signal.SIGSEGV, signal.SIG_DFL)
faulthandler.enable()
"""
LONGEST = 1800  # seconds of a training, many times more than it takes on a busy machine
FILES = ("weights.params", "optimizer.params")
# Root may write anywhere. Without these rights it is an ordinary owner of its files.
ORDINARY = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


class FaultError(DetkitError):
    """A row of the matrix failed, or cannot be run on this machine."""


class Ended(NamedTuple):
    """A training that has ended: its exit status and what it wrote to the terminal."""

    status: int
    out: str
    err: str


class Lab:
    """A project with the tiny config, and an undisturbed run to compare others with.

    folder: a folder for everything. seed: the seed of the moments at which things happen.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.config = tiny.project(folder / "project")
        with open(folder / "project/plugins/tiny.py", "a", encoding="utf-8") as plugin:
            plugin.write(STACKS)  # MXNet, whose import sets its handler, is imported above
        self.reference = folder / "reference"
        self.seconds = 0.0  # from the lock to the end of the undisturbed run
        self._next = 0

    def prepare(self) -> None:
        """Makes the undisturbed run."""
        process = self.start(self.reference)
        self.wait_for_lock(process, self.reference)
        began = time.perf_counter()
        ended = self.end(process)
        self.seconds = time.perf_counter() - began
        require(ended.status == 0, "the undisturbed run failed", ended)

    def work_dir(self) -> Path:
        """Returns the path of a new work folder."""
        self._next += 1
        return self.folder / f"work{self._next}"

    def start(
        self,
        work_dir: Path,
        *overrides: str,
        resume: str = "",
        force: bool = False,
        prefix: Sequence[str] = (),
        **options: Any,
    ) -> "subprocess.Popen[str]":
        """Starts a training. prefix: a command before python's. options: Popen's."""
        command = [*prefix, sys.executable, str(ROOT / "tools/train.py"), str(self.config)]
        command += ["--work-dir", str(work_dir)]
        command += ["--resume", resume] if resume else []
        command += ["--force"] if force else []
        command += ["--set", *OVERRIDES, *overrides]
        pipes: Dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, **{**pipes, **options})

    def train(self, work_dir: Path, *overrides: str, **options: Any) -> Ended:
        """Runs a training to its end."""
        return self.end(self.start(work_dir, *overrides, **options))

    def end(self, process: "subprocess.Popen[str]") -> Ended:
        """Waits for a training. Raises FaultError if it hangs."""
        try:
            out, err = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise FaultError(f"a training hung for {LONGEST} s: {err[-500:]}") from None
        return Ended(process.returncode, out or "", err or "")

    def wait_for_lock(self, process: "subprocess.Popen[str]", work_dir: Path) -> None:
        """Waits until a training has passed its checks and holds its folder, or has ended."""
        while process.poll() is None:
            if owner(work_dir).get("pid") == process.pid:
                return
            time.sleep(0.005)

    def start_and_stop(self, work_dir: Path, step: int, *overrides: str) -> "subprocess.Popen[str]":
        """Starts a training that halts by SIGSTOP after a step, and waits until it has halted."""
        hook = tiny.hook("SignalAt", step=step, name="SIGSTOP")
        process = self.start(work_dir, hook, *overrides)
        changes = os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT
        until = time.monotonic() + LONGEST
        while not (change := os.waitid(os.P_PID, process.pid, changes)):
            if time.monotonic() > until:
                process.kill()
            time.sleep(0.005)
        if change.si_code != os.CLD_STOPPED:
            require(False, f"a training did not halt after step {step}", self.end(process))
        return process

    def moment(self, share: float = 1.0) -> None:
        """Sleeps for a random part of the time that an undisturbed run takes."""
        time.sleep(self.random.uniform(0, share * self.seconds))

    def stopped(self, work_dir: Path, step: int) -> None:
        """Trains until a step, and stops there with everything saved."""
        ended = self.train(work_dir, tiny.hook("SignalAt", step=step))
        require(ended.status == 143, f"a run did not stop at step {step}", ended)

    def finish(self, work_dir: Path, *overrides: str, **options: Any) -> Ended:
        """Resumes a run to its end. Raises FaultError unless it equals the undisturbed run."""
        ended = self.train(work_dir, *overrides, **{"resume": "auto", **options})
        require(ended.status == 0, "a run could not be resumed", ended)
        self.compare(work_dir)
        return ended

    def compare(
        self, work_dir: Path, reference: Optional[Path] = None, but: Sequence[str] = ()
    ) -> None:
        """Raises FaultError unless a finished run is the undisturbed one, bit for bit.

        but: the keys of the checkpoint's state that may differ, beside those that name the run.
        """
        runs = (work_dir, reference or self.reference)
        ours, theirs = (Path(numbered(str(run / "checkpoints"))[-1]) for run in runs)
        for name in FILES:
            same = (ours / name).read_bytes() == (theirs / name).read_bytes()
            require(same, f"{ours / name} differs from the undisturbed run's")
        states = [json.loads((path / "state.json").read_text()) for path in (ours, theirs)]
        for key, value in states[1].items():
            same = repr(states[0][key]) == repr(value) or key in ("run", "parent", *but)
            require(same, f"{ours}/state.json: {key} differs from the undisturbed run's")
        for run in runs:
            lines = (run / "log.jsonl").read_text().splitlines()
            require(all(map(json.loads, lines)), f"{run}/log.jsonl has a damaged line")
        results = [(run / "result.json").read_text() for run in runs]
        require(results[0] == results[1], f"{work_dir}/result.json differs")
        best = [os.path.basename(find_best(str(run / "checkpoints")) or "") for run in runs]
        require(best[0] == best[1], f"{work_dir}: the best is {best[0]}, not {best[1]}")

    def discard(self, work_dir: Path) -> None:
        """Deletes the folder of a run that has passed."""
        shutil.rmtree(work_dir)


def owner(work_dir: Path) -> Dict[str, Any]:
    """Returns what the lock file of a folder says; nothing if there is none."""
    try:
        content = json.loads((work_dir / LOCK).read_text())
    except (OSError, ValueError):
        return {}
    return dict(content)


def require(condition: bool, message: str, ended: Optional[Ended] = None) -> None:
    """Raises FaultError unless the condition holds."""
    if not condition:
        told = ""
        if ended:
            lines = [line for line in ended.err.splitlines() if "Extension modules" not in line]
            told = f" (status {ended.status}): {ended.out[-500:]}\n" + "\n".join(lines)[-3000:]
        raise FaultError(message + told)


def require_clear(ended: Ended, *fragments: str) -> None:
    """Raises FaultError unless a training ended with a message that has these fragments."""
    require(ended.status == 1 and "error: " in ended.err, "expected an error", ended)
    require("Traceback" not in ended.err, "expected a message, found a traceback", ended)
    for fragment in fragments:
        require(fragment in ended.err, f"expected {fragment!r} in the message", ended)


def kill(process: "subprocess.Popen[str]", number: int = signal.SIGKILL) -> bool:
    """Sends a signal; returns whether the process was still alive."""
    alive = process.poll() is None
    if alive:
        os.kill(process.pid, number)
    return alive
