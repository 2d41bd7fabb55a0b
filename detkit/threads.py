"""The number of threads that MXNet's operators use on a CPU."""

import os
import sys
from pathlib import Path
from typing import Dict, List

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
    return len(a_cpu_of_each_core())


def a_cpu_of_each_core() -> List[int]:
    """Returns the number of one CPU of each core that this process may use. It needs Linux."""
    cpus: Dict[str, int] = {}  # {the hyper-threads of a core: one of them}
    for cpu in sorted(os.sched_getaffinity(0)):
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        core = path.read_text(encoding="ascii") if path.is_file() else str(cpu)
        cpus.setdefault(core, cpu)
    return list(cpus.values())


def allowed() -> int:
    """Returns the number of threads that OMP_NUM_THREADS allows, or that of the physical cores.

    ONNX Runtime and OpenVINO do not read the variable themselves.
    """
    first, _, _ = os.environ.get(VARIABLE, "").partition(",")  # a number for each level of nesting
    return int(first) if first.isdecimal() and int(first) else physical_cores()
