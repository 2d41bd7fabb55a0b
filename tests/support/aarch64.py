"""Programs for aarch64 on an x86-64: Debian's cross compiler, and qemu, which runs its programs."""

import shutil

import pytest

from detkit import processor

COMPILER = "aarch64-linux-gnu-g++"
# Debian's packages qemu-user and qemu-user-static name the same program differently.
QEMU = next(filter(shutil.which, ("qemu-aarch64", "qemu-aarch64-static")), None)
LIBRARIES = "/usr/aarch64-linux-gnu"  # where Debian has that machine's libraries
CPU_INFO = """\
processor\t: 0
Features\t: fp asimd
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd08
"""

NEEDED = pytest.mark.skipif(
    not (processor.is_x86() and shutil.which(COMPILER) and QEMU),
    reason="needs g++-aarch64-linux-gnu and qemu-user on an x86-64",
)


def command(program, root=LIBRARIES):
    """The words that run a program for aarch64 here; root: where qemu looks for files first."""
    return [QEMU, "-cpu", "cortex-a72", "-L", root, program]


def board(folder):
    """A root with that machine's libraries, in which the processor is a Raspberry Pi 4's.

    ONNX Runtime reads the processor's description while it is loaded, and crashes if that is this
    machine's.
    """
    (folder / "proc").mkdir(parents=True)
    (folder / "proc" / "cpuinfo").write_text(CPU_INFO)
    (folder / "lib").symlink_to(f"{LIBRARIES}/lib")
    return folder
