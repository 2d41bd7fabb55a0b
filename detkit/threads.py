"""How many threads MXNet's operators use on a CPU."""

import os
import sys
from glob import glob

VARIABLE = "OMP_NUM_THREADS"


def use_physical_cores():
    """Give MXNet a thread for each physical core, unless OMP_NUM_THREADS says how many.

    By itself it takes every CPU for one of two hyper-threads and uses half of them, which leaves
    half of a machine without hyper-threads idle. It reads the variable once, when it is imported:
    after that this does nothing.
    """
    if VARIABLE not in os.environ and "mxnet" not in sys.modules:
        os.environ[VARIABLE] = str(physical_cores())


def physical_cores():
    """How many cores this process may use, hyper-threads counted once."""
    if not hasattr(os, "sched_getaffinity"):  # only Linux tells
        return max(1, (os.cpu_count() or 1) // 2)
    allowed = os.sched_getaffinity(0)
    siblings = set()
    for path in glob("/sys/devices/system/cpu/cpu[0-9]*/topology/thread_siblings_list"):
        if int(path.split("/")[5][3:]) in allowed:
            with open(path, encoding="ascii") as file:
                siblings.add(file.read())
    return len(siblings) or len(allowed)
