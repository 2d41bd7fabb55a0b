"""The environment of a worker of tools/benchmark.py, benchmark_ops.py and benchmark_convs.py."""

import os
from pathlib import Path
from typing import Dict

from .instruction_limit import library_limits

TOOLS = Path(__file__).resolve().parents[1]
# A network plans its memory once. Without these variables, glibc gives large results back to the
# system after each call, and the page faults of the next call would take most of the time.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**40),
    "MALLOC_ARENA_MAX": "1",
}


def worker_environment(threads: int = 0) -> Dict[str, str]:
    """Returns the variables of a process that runs a worker's script.

    tools/ is on Python's path, so that the script can import ``benchmark``. The libraries are
    limited to processor.level(). OpenMP and OpenBLAS have ``threads`` threads, unless that is 0.
    """
    path = [str(TOOLS), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(path), **library_limits()}
    if threads:
        variables.update(OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
    return variables
