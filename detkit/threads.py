"""The number of threads that MXNet's operators use on a CPU."""

import os
import sys
from glob import glob

VARIABLE = "OMP_NUM_THREADS"


def use_physical_cores() -> None:
    """Gives MXNet a thread for each physical core, unless OMP_NUM_THREADS is set.

    By default MXNet assumes that two CPUs are hyper-threads of one core and uses half of the CPUs,
    which leaves half of a machine without hyper-threads unused. MXNet reads the variable once, when
    it is imported: after that, this function does nothing.
    """
    if VARIABLE not in os.environ and "mxnet" not in sys.modules:
        os.environ[VARIABLE] = str(physical_cores())


def physical_cores() -> int:
    """Returns the number of cores that this process may use; hyper-threads count once."""
    if not hasattr(os, "sched_getaffinity"):  # only Linux knows it
        return max(1, (os.cpu_count() or 1) // 2)
    allowed = os.sched_getaffinity(0)
    siblings = set()
    for path in glob("/sys/devices/system/cpu/cpu[0-9]*/topology/thread_siblings_list"):
        if int(path.split("/")[5][3:]) in allowed:
            with open(path, encoding="ascii") as file:
                siblings.add(file.read())
    return len(siblings) or len(allowed)
