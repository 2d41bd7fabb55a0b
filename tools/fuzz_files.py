"""Fuzzes the readers of files: configs, annotations, images, results, proposals, weights, folders.

Each case must end in success or in a clear error: no other exception, no signal, at most 5 s of
processor time, at most 1 GiB of memory above the program's, nothing executed, and no file opened
outside of the case's folder. A case is a function of --seed and its number. A few failures of each
kind are kept in --corpus.
"""

import argparse
import collections
import json
import os
import pickle
import re
import select
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Counter, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import detkit  # noqa: F401 - before MXNet
from detkit.cli import debug_argument, positive, run
from detkit.errors import DetkitError
from detkit.files.disk import make_folder
from fuzz.seeds import SEEDS
from fuzz.worker import ACCEPTED, CLEAR, FAILED, case

MOST_SECONDS = 5.0  # of the processor, for a case
MOST_WAIT = 120.0  # seconds on the clock, also for the start of a worker
KEPT = 3  # cases of each kind of failure
MOST_KEPT_BYTES = 1 << 18
WORKER = ("-m", "fuzz.worker")


class FuzzError(DetkitError):
    """A reader failed on a case."""


class Report(NamedTuple):
    """The outcomes of a format: counts by outcome, and {kind of failure: [(number, message)]}."""

    counts: Counter[str]
    failures: Dict[str, List[Tuple[int, str]]]


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Runs all cases, prints the table, and raises FuzzError if a case failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=positive, default=2000, help="of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--only", nargs="+", choices=list(SEEDS), default=list(SEEDS))
    parser.add_argument("--corpus", metavar="DIR", help="keep failing cases here")
    parser.add_argument("--workers", type=positive, default=1, help="processes (default: 1)")
    debug_argument(parser)
    args = parser.parse_args(argv)
    print("| format | cases | accepted | clear errors | failures |\n|---|---|---|---|---|")
    with ThreadPoolExecutor(args.workers) as pool:
        jobs = [pool.submit(fuzz, name, args) for name in args.only]
        reports = [job.result() for job in jobs]
    failures = [
        f"{name}: {line}" for name, report in zip(args.only, reports) for line in lines(report)
    ]
    if failures:
        raise FuzzError("expected success or clear errors, found\n  " + "\n  ".join(failures))


def lines(report: Report) -> List[str]:
    """Returns a line about each kind of failure."""
    return [
        f"{len(cases)} cases such as --first {cases[0][0]} --cases 1: {cases[0][1]}"
        for cases in report.failures.values()
    ]


def fuzz(name: str, args: argparse.Namespace) -> Report:
    """Runs the cases of a format in one process at a time, and prints its row of the table."""
    seeds = SEEDS[name]()
    report = Report(collections.Counter(), collections.defaultdict(list))
    number, last = args.first, args.first + args.cases
    with tempfile.TemporaryDirectory(prefix="detkit-fuzz-") as folder:
        seeds_file = Path(folder, "seeds")
        seeds_file.write_bytes(pickle.dumps(seeds))
        while number < last:
            done = outcomes(name, args.seed, number, last, Path(folder))
            for number, outcome, message in done:  # noqa: B020 - a process goes on behind it
                report.counts[outcome] += 1
                if outcome == FAILED:
                    kind = re.sub(r"\d+|'.*?'", "#", message)[:80]
                    report.failures[kind].append((number, message))
                    if args.corpus and len(report.failures[kind]) <= KEPT:
                        keep(Path(args.corpus, name, str(number)), message, seeds, name, args.seed)
            number += 1
    accepted, clear, failed = (report.counts[each] for each in (ACCEPTED, CLEAR, FAILED))
    print(f"| {name} | {args.cases} | {accepted} | {clear} | {failed} |", flush=True)
    return report


def outcomes(
    name: str, seed: int, first: int, last: int, folder: Path
) -> Iterator[Tuple[int, str, str]]:
    """Yields (number, outcome, message) of each case until the process ends, or is ended."""
    (folder / "case").mkdir(exist_ok=True)
    words = [*WORKER, name, seed, first, last, folder / "case", folder / "seeds"]
    root = Path(__file__).resolve().parent
    path = os.pathsep.join([str(root.parent), str(root), os.environ.get("PYTHONPATH", "")])
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "DETKIT_OPS": "mxnet"}
    process = subprocess.Popen(
        [sys.executable, *map(str, words)],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        cwd=folder,
        env=variables,
    )
    number = first
    try:
        for line in _lines(process):
            number, outcome, message = json.loads(line)
            yield number, outcome, message
            number += 1
        status = process.wait()
        if number < last:
            if number == first and status == 1:
                raise FuzzError(f"{name}: expected a reader of the seeds, found one that fails")
            yield number, FAILED, f"the process ended with status {status}"
    except TimeoutError as error:
        yield number, FAILED, f"hang: {error}"
    finally:
        process.kill()
        process.wait()


def _lines(process: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    """Yields the lines of a process. Raises TimeoutError for a case that takes too long."""
    assert process.stdout is not None
    descriptor, rest = process.stdout.fileno(), b""
    started, used = time.monotonic(), None
    while True:
        if select.select([descriptor], [], [], 0.5)[0]:
            data = os.read(descriptor, 1 << 16)
            if not data:
                return
            *whole, rest = (rest + data).split(b"\n")
            yield from whole
            started, used = time.monotonic(), _seconds(process.pid)
        elif used is not None and _seconds(process.pid) - used > MOST_SECONDS:
            raise TimeoutError(f"more than {MOST_SECONDS:g} s of processor time")
        elif time.monotonic() - started > MOST_WAIT:
            raise TimeoutError(f"more than {MOST_WAIT:g} s")


def _seconds(pid: int) -> float:
    """Returns the processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def keep(folder: Path, message: str, seeds: List[Dict[str, bytes]], name: str, seed: int) -> None:
    """Writes the files of a failing case that are no seed's, and the message."""
    make_folder(folder)
    known = [data for files in seeds for data in files.values()]
    for path, data in case(seeds, name, seed, int(folder.name)).items():
        if data not in known and len(data) <= MOST_KEPT_BYTES:
            (folder / path.replace("/", "_")).write_bytes(data)
    (folder / "message.txt").write_text(message + "\n", encoding="utf-8", errors="replace")


if __name__ == "__main__":
    sys.exit(run(main))
