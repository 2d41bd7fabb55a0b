"""tools/cross_check.sh, and what is read and compiled on aarch64.

Its short form runs in test_fuzz_kernels.py, which has compiled one of the two programs already.
"""

import os
import shutil
import subprocess

import pytest

from detkit import processor
from detkit.ops import compile as compiling
from support import tiny

SCRIPT = tiny.ROOT / "tools/cross_check.sh"


@pytest.fixture
def cross_check(tmp_path):
    """A function: what the script prints, with these programs on its PATH and a mute Python."""
    for name in ("bash", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name))

    def give(name, script):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def run(*arguments, there=(), machine="x86_64"):
        for tool in there:
            give(tool, "exit 1")
        give("uname", f"echo {machine}")
        python = give("mute", 'echo "$@"')
        variables = {**os.environ, "PATH": str(tmp_path), "PYTHON": str(python)}
        done = subprocess.run(
            [SCRIPT, *arguments], env=variables, capture_output=True, text=True, cwd=tmp_path
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


TOOLS = ("aarch64-linux-gnu-g++", "qemu-aarch64")
INSTALL = "apt install g++-aarch64-linux-gnu qemu-user\n"


def test_what_is_missing_is_said(cross_check):
    assert cross_check() == f"skipped, there is no aarch64-linux-gnu-g++: {INSTALL}"
    assert cross_check(there=TOOLS[:1]) == f"skipped, there is no qemu-aarch64: {INSTALL}"


def test_another_machine_is_said(cross_check):
    printed = cross_check(there=TOOLS, machine="aarch64")
    assert printed.startswith("skipped, this machine is no x86-64: ")


def test_it_asks_for_the_same_cases_on_both(cross_check):
    command = "tools/fuzz_ops.py --isa baseline aarch64 --cases"
    assert cross_check(there=TOOLS) == f"{command} 6000 --seed 7\n"
    assert cross_check("500", "--only", "nms") == f"{command} 1000 --seed 7 --only nms\n"
    assert cross_check("--seed", "3") == f"{command} 6000 --seed 7 --seed 3\n"


@pytest.fixture
def on_aarch64(tmp_path, monkeypatch):
    """This machine is one of ARM, as Linux describes it."""
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nFeatures\t: fp asimd atomics bf16\nCPU part\t: 0xd0c\n")
    monkeypatch.setattr(processor, "CPU_INFO", str(path))
    monkeypatch.setattr(processor.platform, "machine", lambda: "aarch64")


@pytest.mark.usefixtures("on_aarch64")
def test_the_library_has_one_build_there_and_no_option_of_x86():
    assert list(compiling.instruction_sets()) == ["baseline"]
    commands = compiling.Build("c++").commands("folder")
    assert not [word for command in commands for word in command if str(word).startswith("-m")]
    kernels = [command for command in commands if "-DDETKIT_ISA=baseline" in command]
    assert len(kernels) == len(compiling.BOX_KERNELS) + len(compiling.FUSED_KERNELS)
    fused = [command for command in kernels if "-ffp-contract=off" not in command]
    assert len(fused) == len(compiling.FUSED_KERNELS)


@pytest.mark.usefixtures("on_aarch64", "no_limit")
def test_the_processor_is_described_there(monkeypatch):
    assert processor.describe() == "aarch64, NEON"
    monkeypatch.setenv(processor.VARIABLE, "avx2")  # a level of another machine: no error
    assert processor.describe() == "aarch64, NEON"
