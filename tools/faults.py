"""Trains a tiny detector through kills, signals, full disks and damaged files, and counts.

Each row of the table is one kind of fault. After each fault the run is resumed, and its end is
compared bit for bit with an undisturbed run. The rows "disk_full" and "read_only" use a small tmpfs
and setpriv if the user is root; otherwise they use a limit of the size of files and permissions.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # for support/tiny.py

from detkit.cli import debug_argument, positive, run  # noqa: E402
from faults import processes, staged, storage  # noqa: E402
from faults.lab import FaultError, Lab  # noqa: E402

# A row: its function and how often it is repeated without --times.
ROWS = {
    "sigkill": (processes.sigkill, 100),
    "alternating": (staged.alternating, 10),
    "signals": (processes.signals, 10),
    "terminal": (processes.terminal, 5),
    "two_runs": (processes.two_runs, 3),
    "stale_lock": (processes.stale_lock, 4),
    "compiling": (processes.compiling, 1),
    "disk_full": (storage.disk_full, 7),
    "read_only": (storage.read_only, 2),
    "no_home": (storage.no_home, 1),
    "damaged": (storage.damaged, 1),
    "clock": (storage.clock, 3),
    "dataset": (storage.dataset, 3),
}


def main(argv=None):
    """Runs the rows and prints the table; the exit status is 1 if a row has failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(ROWS), metavar="ROW", default=list(ROWS))
    parser.add_argument("--times", type=positive, help="how often each row is repeated")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the faults")
    debug_argument(parser)
    args = parser.parse_args(argv)
    # The same number of threads in every training: another number adds up in another order.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    failed = []
    with tempfile.TemporaryDirectory(prefix="detkit-faults-") as folder:
        lab = Lab(Path(folder), args.seed)
        lab.prepare()
        print("| row | seconds | result |\n|---|---|---|", flush=True)
        for name in args.only:
            function, times = ROWS[name]
            began = time.perf_counter()
            try:
                result = function(lab, args.times or times)
            except FaultError as error:
                result = f"FAILED: {error}"
                failed.append(name)
            print(f"| {name} | {time.perf_counter() - began:.0f} | {result} |", flush=True)
    if failed:
        raise FaultError(f"expected every row to pass, found failures in {', '.join(failed)}")


if __name__ == "__main__":
    sys.exit(run(main))
