"""Programs for aarch64 on an x86-64: Debian's cross compiler, and qemu, which runs its programs."""

import shutil

import pytest

from detkit import processor

COMPILER = "aarch64-linux-gnu-g++"
# Debian's packages qemu-user and qemu-user-static name the same program differently.
QEMU = next(filter(shutil.which, ("qemu-aarch64", "qemu-aarch64-static")), None)
LIBRARIES = "/usr/aarch64-linux-gnu"  # where Debian has that machine's libraries

NEEDED = pytest.mark.skipif(
    not (processor.is_x86() and shutil.which(COMPILER) and QEMU),
    reason="needs g++-aarch64-linux-gnu and qemu-user on an x86-64",
)


def command(program):
    """The words that run a program for aarch64 here."""
    return [QEMU, "-L", LIBRARIES, program]
