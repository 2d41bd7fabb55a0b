"""Reads files in a process of its own, with limits on time and memory."""

import subprocess
import sys

from support import tiny

PROGRAM = """
import importlib, resource, sys
from detkit.errors import DetkitError

module, name, *paths = sys.argv[1:]
read = getattr(importlib.import_module(module), name)
pages = int(open("/proc/self/statm").read().split()[0])
most = pages * resource.getpagesize() + (1 << 30)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
for path in paths:
    try:
        read(path)
        print("read")
    except DetkitError as error:
        print(str(error).replace(chr(10), " "))
"""


def messages(reader, *paths, seconds=30):
    """What ``reader`` ("module.function") says about each path: its error, or "read"."""
    module, _, name = reader.rpartition(".")
    command = [sys.executable, "-c", PROGRAM, module, name, *map(str, paths)]
    done = subprocess.run(
        command, cwd=tiny.ROOT, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
