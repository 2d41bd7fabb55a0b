"""Times detkit's operators beside those of MXNet and torchvision, on the same inputs.

First all sides have to give the same results; then they are timed in turn, in one process for each
number of threads. Ratios are how many times faster detkit's library is; `fallback` are detkit's own
operators made of MXNet's, `mxnet` MXNet's nearest operator as it is. The floor is the time that
the bytes to be moved, or the multiply-adds, take at the rates measured on this machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "benchmark"))

from limit import environment

from detkit.cli import debug_argument, positive, run
from detkit.errors import DetkitError
from detkit.processor import describe

WORKER = Path(__file__).parent / "benchmark/worker.py"
PEERS = ("fallback", "mxnet", "torchvision")
# How many times faster the library has to be, on one thread: case, side, ratio.
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
# A network plans its memory once. Without these, glibc gives large results back to the system after
# each call, and the page faults of the next would be most of what is measured.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**40),
    "MALLOC_ARENA_MAX": "1",
}
MATCH = (200000, 100)  # boxes, objects; a matrix of them is 80 MB
BYTES_PER_BOX = 64  # that matching may take at most, whatever the number of objects


class BenchmarkError(DetkitError):
    """Two sides disagree, or detkit is slower than it has to be."""


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", metavar="CASE", nargs="*", help="only those that begin so: nms")
    parser.add_argument("--threads", type=numbers, default=[1, 2], help="for example 1,4")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each side of a case")
    parser.add_argument("--json", metavar="FILE", help="write all figures as JSON")
    parser.add_argument(
        "--check", action="store_true", help="required ratios, one thread: status 1 if missed"
    )
    debug_argument(parser)
    args = parser.parse_args(argv)
    if args.check:
        args.threads, args.names = [1], sorted({name for name, *_ in REQUIRED})
    print(describe(), flush=True)
    found = {}
    for threads in args.threads:
        found[threads] = work(threads, "time", args.seconds, *args.names)
        print_table(threads, found[threads])
    memory = match_memory() if not args.names or args.check else {}
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            figures = {"processor": describe(), "threads": found, "match_memory": memory}
            json.dump(figures, file, indent=1)
    if args.check:
        check(found[1]["rows"], memory)


def numbers(text):
    return [positive(part) for part in text.split(",")]


def work(threads, mode, *arguments):
    """What the worker found, run on so many threads. Raises BenchmarkError where it fails."""
    count = str(threads)
    counts = {"OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count}
    kept = KEEP_MEMORY if mode == "time" else {}
    variables = {**os.environ, **counts, **environment(), **kept}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "found.json")
        command = [sys.executable, WORKER, mode, out, *arguments]
        done = subprocess.run(list(map(str, command)), env=variables)
        if done.returncode:
            raise BenchmarkError(f"measuring on {threads} threads failed, see above")
        return json.loads(out.read_text(encoding="utf-8"))


def print_table(threads, found):
    copied, multiplied = (found["machine"][rate] / 1e9 for rate in ("bytes", "operations"))
    print(f"\nOMP_NUM_THREADS={threads}: medians in ms, ratios to detkit;", end=" ")
    print(f"floor: {copied:.1f} GB/s copied, {multiplied:.1f} G multiply-adds/s\n")
    print(f"{'':28}{'detkit':>10}" + "".join(f"{peer:>20}" for peer in PEERS) + f"{'floor':>10}")
    for row in found["rows"]:
        milliseconds = row["milliseconds"]
        cells = "".join(cell(row, peer) for peer in PEERS)
        print(f"{row['name']:28}{milliseconds['detkit']:10.3f}{cells}{row['floor']:10.3f}")


def cell(row, peer):
    """A peer's time and ratio, or why there is none."""
    if peer in row["left_out"]:
        return f"{'> ' + format(row['left_out'][peer], '.0f') + ' s, left out':>20}"
    if peer not in row["milliseconds"]:
        return f"{'-':>20}"
    return f"{row['milliseconds'][peer]:11.2f} {ratio(row, peer):7.1f}x"


def ratio(row, peer):
    return row["milliseconds"][peer] / row["milliseconds"]["detkit"]


def match_memory():
    """{side: bytes} by which a process grows when it matches; prints them."""
    sides = ("detkit", "fallback", "mxnet")
    memory = {side: work(1, "memory", side, *MATCH) for side in sides}
    print("\nmatch {:,} x {}: peak growth of the resident memory".format(*MATCH))
    for side, grown in memory.items():
        print(f"  {side:10}{grown / 1e6:10.1f} MB")
    return memory


def check(rows, memory):
    """Prints the required ratios beside those measured. Raises BenchmarkError for a missed one."""
    rows, missed = {row["name"]: row for row in rows}, []
    print("\nrequired, measured")
    for name, peer, required in REQUIRED:
        if peer not in rows[name]["milliseconds"]:
            raise BenchmarkError(f"{name}: {peer} cannot be imported here, nothing to compare with")
        measured = ratio(rows[name], peer)
        line = f"{name:28}{peer:12}{required:6.0f}x {measured:8.1f}x"
        print(line + ("" if measured >= required else "  MISSED"))
        missed += [name] if measured < required else []
    allowed = BYTES_PER_BOX * MATCH[0]
    print(f"{'match, memory':40}{allowed / 1e6:6.1f}MB {memory['detkit'] / 1e6:7.1f}MB")
    missed += ["match, memory"] if memory["detkit"] > allowed else []
    if missed:
        raise BenchmarkError(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    sys.exit(run(main))
