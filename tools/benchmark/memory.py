"""Resident memory of this process on Linux, for the benchmarks in tools/.

A worker under another interpreter imports this module, so it needs the standard library alone.
"""

from typing import Union


def reset_peak() -> None:
    """Sets the kernel's record of the largest resident memory (VmHWM) to the present size."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def resident(name: str, process: Union[int, str] = "self") -> int:
    """Returns bytes of resident memory: now ("VmRSS"), or the largest since a reset ("VmHWM").

    process: the number of another process.
    """
    with open(f"/proc/{process}/status", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith(name + ":"))
    return 1024 * int(line.split()[1])
