"""The row about a training in stages: it is killed in each of them."""

import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Optional, Tuple

from faults.lab import LONGEST, Lab, kill, require

STAGES = ("1-rpn", "2-fast-rcnn", "3-rpn", "4-fast-rcnn")
CHOSEN = ("regime=alternating", "train.epochs=2")
BETWEEN, JOIN = "between two stages", "in the join"


def alternating(lab: Lab, times: int) -> str:
    """SIGKILL at random moments, ``times`` in each stage, resumed each time until the run ends."""
    reference, seconds = _undisturbed(lab)
    kills: Counter[str] = Counter()
    runs = 0
    while any(kills[stage] < times for stage in STAGES):
        work, done = lab.work_dir(), False
        while not done:
            target = _target(work, kills, times)
            before = _begun(work, target)
            process = lab.start(work, *CHOSEN, resume="auto")
            until = time.monotonic() + LONGEST
            while target and process.poll() is None and _begun(work, target) == before:
                require(time.monotonic() < until, f"{target} did not begin")
                time.sleep(0.005)
            if target:
                time.sleep(lab.random.uniform(0, seconds))
            killed = bool(target) and kill(process)
            ended = lab.end(process)
            done = ended.status == 0
            require(done or ended.status == -signal.SIGKILL, "a killed run was not resumed", ended)
            if killed and not done:
                kills[_place(work)] += 1
        lab.compare(work, reference)
        for stage in STAGES:
            lab.compare(work / "stages" / stage, reference / "stages" / stage)
        lab.discard(work)
        runs += 1
    places = ", ".join(f"{count} {place}" for place, count in sorted(kills.items()))
    return f"{sum(kills.values())} kills ({places}), {runs} runs, every stage bit-equal"


def _undisturbed(lab: Lab) -> Tuple[Path, float]:
    """Returns the folder of an undisturbed run, and the seconds that a stage of it takes."""
    reference = lab.work_dir()
    process = lab.start(reference, *CHOSEN)
    lab.wait_for_lock(process, reference)
    began = time.perf_counter()
    ended = lab.end(process)
    require(ended.status == 0, "the undisturbed run failed", ended)
    return reference, (time.perf_counter() - began) / (len(STAGES) + 1)


def _target(work: Path, kills: "Counter[str]", times: int) -> Optional[str]:
    """Returns the first stage that has not ended and needs more kills; None if there is none."""
    return next((s for s in STAGES if not _ended(work, s) and kills[s] < times), None)


def _begun(work: Path, stage: Optional[str]) -> int:
    """Returns how often processes have begun to train a stage, by the log of the run."""
    if not (work / "log.jsonl").exists():
        return 0
    # The last line may be under way.
    lines = (work / "log.jsonl").read_text().split("\n")[:-1]
    records = map(json.loads, lines)
    return sum(
        r["kind"] == "stage" and r["name"] == stage and r["state"] == "begins" for r in records
    )


def _place(work: Path) -> str:
    """Returns the stage that a run is in, or the place between two of them."""
    stage = next((stage for stage in STAGES if not _ended(work, stage)), None)
    if stage is None:
        return JOIN
    return stage if (work / "stages" / stage).exists() else BETWEEN


def _ended(work: Path, stage: str) -> bool:
    return (work / "stages" / stage / "result.json").exists()
