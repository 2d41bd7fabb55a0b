"""Times detkit's operators beside those of MXNet and torchvision, on the same inputs.

All implementations must give the same results before they are timed in turn, in one process for
each number of threads. `detkit` is the compiled library, `fallback` are detkit's operators made of
MXNet's, and `mxnet` is MXNet's most similar operator. A ratio is an implementation's time divided
by the library's. The floor is the time that the necessary bytes, or multiply-adds, take at the
rates measured on this machine.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from benchmark.errors import BenchmarkError
from benchmark.worker_environment import KEEP_MEMORY, worker_environment
from detkit.cli import debug_argument, positive, run
from detkit.processor import describe

WORKER = Path(__file__).parent / "benchmark/operators/worker.py"
PEERS = ("fallback", "mxnet", "torchvision")
# The least ratio of --check, on one thread: case, implementation, ratio.
REQUIRED = (
    ("nms 2,000 random", "torchvision", 25),
    ("nms 12,000 random", "torchvision", 40),
    ("nms 12,000 random", "mxnet", 20),
    ("match 200,000 x 100", "mxnet", 10),
    ("roi_align 512", "torchvision", 4),
    ("roi_align 512", "mxnet", 4),
    ("roi_align backward 512", "torchvision", 12),
    ("roi_align backward 512", "mxnet", 12),
    ("roi_pool 512", "torchvision", 5),
    ("roi_pool 512", "mxnet", 20),
)
MATCH = (200000, 100)  # boxes, objects; a matrix of them is 80 MB
BYTES_PER_BOX = 64  # the limit of --check for matching, for any number of objects


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Measures, prints the tables, writes --json; with --check, an error for a missed ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names",
        metavar="CASE",
        nargs="*",
        help="how the names of cases begin: nms; default: all",
    )
    parser.add_argument(
        "--threads", type=numbers, default=[1, 2], help="numbers of threads; default: 1,2"
    )
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="for each implementation of a case; default: 2"
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures as JSON")
    parser.add_argument(
        "--check",
        action="store_true",
        help="measure the required ratios on one thread; the status is 1 if one is missed",
    )
    debug_argument(parser)
    args = parser.parse_args(argv)
    if args.check:
        args.threads, args.names = [1], sorted({name for name, *_ in REQUIRED})
    print(describe(), flush=True)
    figures = {}
    for threads in args.threads:
        figures[threads] = measure(threads, "time", args.seconds, *args.names)
        print_table(threads, figures[threads])
    memory = match_memory() if not args.names or args.check else {}
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            measured = {"processor": describe(), "threads": figures, "match_memory": memory}
            json.dump(measured, file, indent=1)
    if args.check:
        check(figures[1]["rows"], memory)


def numbers(text: str) -> List[int]:
    """Returns the value of --threads."""
    return [positive(part) for part in text.split(",")]


def measure(threads: int, mode: str, *arguments: Any) -> Any:
    """Returns the result of a worker process. Raises BenchmarkError if the process fails.

    mode and arguments: see operators/worker.py.
    """
    variables = {**worker_environment(threads), **(KEEP_MEMORY if mode == "time" else {})}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.json")
        command = [sys.executable, WORKER, mode, out, *arguments]
        done = subprocess.run(list(map(str, command)), env=variables)
        if done.returncode:
            raise BenchmarkError(
                f"the worker process on {threads} threads failed; its own message is above"
            )
        return json.loads(out.read_text(encoding="utf-8"))


def print_table(threads: int, figures: Dict[str, Any]) -> None:
    """Prints the times and ratios of all cases."""
    copied, multiplied = (figures["machine"][rate] / 1e9 for rate in ("bytes", "operations"))
    print(f"\nOMP_NUM_THREADS={threads}: medians in ms, ratios to detkit;", end=" ")
    print(f"floor: {copied:.1f} GB/s copied, {multiplied:.1f} G multiply-adds/s\n")
    print(f"{'':28}{'detkit':>10}" + "".join(f"{peer:>20}" for peer in PEERS) + f"{'floor':>10}")
    for row in figures["rows"]:
        milliseconds = row["milliseconds"]
        cells = "".join(cell(row, peer) for peer in PEERS)
        print(f"{row['name']:28}{milliseconds['detkit']:10.3f}{cells}{row['floor']:10.3f}")


def cell(row: Dict[str, Any], peer: str) -> str:
    """Returns a peer's time and ratio, or why there is none."""
    if peer in row["left_out"]:
        return f"{'> ' + format(row['left_out'][peer], '.0f') + ' s, left out':>20}"
    if peer not in row["milliseconds"]:
        return f"{'-':>20}"
    return f"{row['milliseconds'][peer]:11.2f} {ratio(row, peer):7.1f}x"


def ratio(row: Dict[str, Any], peer: str) -> float:
    """Returns a peer's time divided by the library's."""
    return row["milliseconds"][peer] / row["milliseconds"]["detkit"]


def match_memory() -> Dict[str, int]:
    """Measures by how many bytes a process grows when it matches; prints and returns them."""
    implementations = ("detkit", "fallback", "mxnet")
    memory = {name: measure(1, "memory", name, *MATCH) for name in implementations}
    print("\nmatch {:,} x {}: peak growth of the resident memory".format(*MATCH))
    for name, grown in memory.items():
        print(f"  {name:10}{grown / 1e6:10.1f} MB")
    return memory


def check(rows: Sequence[Dict[str, Any]], memory: Dict[str, int]) -> None:
    """Prints the required and the measured ratios. Raises BenchmarkError if one is missed."""
    by_name = {row["name"]: row for row in rows}
    missed: List[str] = []
    print("\nrequired, measured")
    for name, peer, required in REQUIRED:
        if peer not in by_name[name]["milliseconds"]:
            raise BenchmarkError(f"{name}: expected a time of {peer}, found none: install {peer}")
        measured = ratio(by_name[name], peer)
        line = f"{name:28}{peer:12}{required:6.0f}x {measured:8.1f}x"
        print(line + ("" if measured >= required else "  MISSED"))
        missed += [name] if measured < required else []
    allowed = BYTES_PER_BOX * MATCH[0]
    print(f"{'match, memory':40}{allowed / 1e6:6.1f}MB {memory['detkit'] / 1e6:7.1f}MB")
    missed += ["match, memory"] if memory["detkit"] > allowed else []
    if missed:
        raise BenchmarkError(f"the required ratio or memory is missed: {', '.join(missed)}")


if __name__ == "__main__":
    sys.exit(run(main))
