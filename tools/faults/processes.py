"""Rows about processes: they are killed, stopped, started twice, and they compile at once."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections import Counter
from pathlib import Path
from typing import List

from detkit.files.lock import LOCK
from faults.lab import LONGEST, ROOT, Lab, kill, owner, require, require_clear

STATUSES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def sigkill(lab: Lab, times: int) -> str:
    """SIGKILL at random moments, resumed each time until the run ends."""
    kills = runs = within_a_save = early = 0
    while kills < times:
        work, done = lab.work_dir(), False
        while not done:
            process = lab.start(work, resume="auto")
            if lab.random.random() < 0.1:
                time.sleep(lab.random.uniform(0, 1.5))  # imports and checks, before the lock
                early += 1
            else:
                lab.wait_for_lock(process, work)
                lab.moment()
            killed = kills < times and kill(process)
            ended = lab.end(process)
            kills += killed and ended.status == -signal.SIGKILL
            left = list((work / "checkpoints").glob(".partial-*")) if work.exists() else []
            within_a_save += bool(killed and left)
            done = ended.status == 0
            require(done or ended.status == -signal.SIGKILL, "a killed run was not resumed", ended)
        lab.compare(work)
        lab.discard(work)
        runs += 1
    return (
        f"{kills} kills ({within_a_save} during a save, {early} possibly before the lock), "
        f"{runs} runs, all bit-equal"
    )


def signals(lab: Lab, times: int) -> str:
    """SIGTERM, SIGINT and SIGHUP at random moments, once or twice, then resumed."""
    seen: Counter[str] = Counter()
    for number, status in STATUSES.items():
        for twice in [False, True] * times:
            work = lab.work_dir()
            process = lab.start(work, start_new_session=True)
            lab.wait_for_lock(process, work)
            lab.moment()
            kill(process, number)
            if twice:
                time.sleep(lab.random.uniform(0, 0.05))
                kill(process, number)
            ended = lab.end(process)
            # Before the loop the system's own handlers end the process, and nothing is lost.
            require(ended.status in (0, status, -number), f"after signal {number}", ended)
            require("Traceback" not in ended.err, f"after signal {number}", ended)
            seen[f"{'2 x ' * twice}{signal.Signals(number).name} {ended.status}"] += 1
            lab.finish(work)
            lab.discard(work)
    return ", ".join(f"{name}: {count}" for name, count in sorted(seen.items()))


def terminal(lab: Lab, times: int) -> str:
    """The terminal of a training is closed, and its output too; each second one ignores SIGHUP."""
    statuses: List[int] = []
    for index in range(times):
        work = lab.work_dir()
        ours, theirs = os.openpty()

        def adopt(descriptor: int = theirs, index: int = index) -> None:
            signal.signal(signal.SIGHUP, signal.SIG_IGN if index % 2 else signal.SIG_DFL)
            fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)

        streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        process = lab.start(work, start_new_session=True, preexec_fn=adopt, **streams)
        os.close(theirs)
        while owner(work).get("pid") != process.pid and process.poll() is None:
            os.set_blocking(ours, False)
            try:
                os.read(ours, 1 << 16)
            except BlockingIOError:
                time.sleep(0.005)
        lab.moment(0.5)
        os.close(ours)
        statuses.append(lab.end(process).status)
        # 120 is Python's own status if the last lines could not be written.
        usual = statuses[-1] in (0, 120, 129, -signal.SIGHUP)
        require(usual, f"status {statuses[-1]} after a hang-up")
        lab.finish(work)
        lab.discard(work)
    return f"statuses {dict(Counter(statuses))}, all resumed bit-equal"


def two_runs(lab: Lab, times: int) -> str:
    """Two trainings in one folder: one later than the other, and both at once."""
    for _ in range(times):
        work = lab.work_dir()
        first = lab.start(work)
        lab.wait_for_lock(first, work)
        os.kill(first.pid, signal.SIGSTOP)  # it holds the lock, however slow the machine is
        host = str(owner(work)["host"])
        second = lab.train(work, resume="auto")
        os.kill(first.pid, signal.SIGCONT)
        require_clear(second, f"process {first.pid}", host, "--work-dir")
        require(lab.end(first).status == 0, "the first run was disturbed by the second")
        lab.compare(work)
        lab.discard(work)
        both = [lab.start(work, resume="auto") for _ in range(2)]
        ended = [lab.end(process) for process in both]
        for each in ended:
            if each.status:
                require_clear(each, "process ", host)
        require(0 in [each.status for each in ended], "none of two runs went on", ended[0])
        lab.compare(work)
        lab.discard(work)
    return f"{times} later, {times} at once; the second is refused and the first is bit-equal"


def stale_lock(lab: Lab, times: int) -> str:
    """A lock that a killed process left, of this host and of another."""
    for index in range(times):
        work = lab.work_dir()
        process = lab.start(work)
        lab.wait_for_lock(process, work)
        lab.moment(0.5)
        kill(process)
        lab.end(process)
        if index % 2:
            (work / LOCK).write_text(json.dumps({"host": "elsewhere", "pid": 1}))
        lab.finish(work)
        require(not (work / LOCK).exists(), "the lock file is left after a run has ended")
        lab.discard(work)
    return f"{times} resumed"


def compiling(lab: Lab, times: int) -> str:
    """Three processes want to compile the operators; the one that compiles is killed."""
    for _ in range(times):
        cache = lab.folder / "cache"
        environment = {**os.environ, "DETKIT_CACHE": str(cache)}
        command = [sys.executable, "-m", "detkit.ops.build"]
        processes = [
            subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        victim = _compiling(processes)
        time.sleep(lab.random.uniform(0, 5))
        kill(victim)
        paths = set()
        for process in processes:
            out, _ = process.communicate(timeout=6 * LONGEST)
            if process is not victim:
                require(process.returncode == 0, f"a compilation failed: {process.returncode}")
                paths.add(out.strip().splitlines()[-1])
        (path,) = paths
        require(Path(path).is_file(), f"{path} is missing")
        work = lab.work_dir()
        ended = lab.train(work, env=environment)
        require(ended.status == 0, "a run with the library that was compiled failed", ended)
        # A checkpoint names the library by its sha256. The undisturbed run may use a library that
        # was compiled from the same sources in another folder, and it holds the path of a source.
        lab.compare(work, but=["environment"])
        lab.discard(work)
    return f"{times} killed; the other 2 of 3 give one library, which trains bit-equal"


def _compiling(processes: "List[subprocess.Popen[str]]") -> "subprocess.Popen[str]":
    """Waits until one of the processes has a compiler as a child, and returns it."""
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        for process in processes:
            try:
                tasks = Path(f"/proc/{process.pid}/task").iterdir()
                children = "".join((task / "children").read_text() for task in tasks)
                names = [Path(f"/proc/{child}/comm").read_text() for child in children.split()]
            except OSError:
                continue
            if any("+" in name or "clang" in name for name in names):
                return process
        time.sleep(0.02)
    raise AssertionError("no process has begun to compile")
