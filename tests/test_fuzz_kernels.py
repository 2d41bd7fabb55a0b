"""A short run of tools/fuzz_ops.py; the long ones are run by hand."""

import importlib.util
import shutil
import stat

import numpy as np
import pytest
import tiny

from detkit import cli
from detkit.errors import DetkitError

COMPILER = any(map(shutil.which, ("g++", "c++", "clang++")))
needs_compiler = pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler")


@pytest.fixture(scope="module")
def fuzz_ops():
    path = tiny.ROOT / "tools/fuzz_ops.py"
    spec = importlib.util.spec_from_file_location("fuzz_ops", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def program(tmp_path):
    """A function: a program that does what a shell script says."""

    def write(script):
        path = tmp_path / "fuzz"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return write


@pytest.fixture
def quick_compiler(fuzz_ops, monkeypatch):
    """Leaves the kernels of RoIs unoptimised, which would take most of the time.

    The sanitizers look at the same accesses. Those of boxes are optimised as always: without it,
    the same bits on every instruction set would say little.
    """
    genuine = fuzz_ops.call
    sources = {fuzz_ops.SOURCES / f"{kernel}.cc" for kernel in fuzz_ops.ROI_KERNELS}

    def call(command):
        return genuine([*command, "-O0"] if sources & set(command) else command)

    monkeypatch.setattr(fuzz_ops, "call", call)


@needs_compiler
@pytest.mark.usefixtures("quick_compiler")
def test_three_thousand_cases(fuzz_ops, capsys):
    assert cli.run(fuzz_ops.main, ["--cases", "3000", "--seed", "7"]) == 0
    printed = capsys.readouterr().out
    assert "baseline: 1,000 cases" in printed or "baseline: 3,000 cases" in printed, printed
    assert printed.endswith("cases, no failure\n")


def test_a_failure_names_its_case(fuzz_ops, program):
    failing = program("echo 'index 9' >&2; echo 'FAILED nms: --seed 3 --first 42' >&2; exit 1")
    with pytest.raises(fuzz_ops.FuzzError) as caught:
        fuzz_ops.run_cases(failing, "avx2", [])
    lines = str(caught.value).splitlines()
    assert lines[0] == "index 9"
    assert lines[-1] == "  python tools/fuzz_ops.py --isa avx2 --seed 3 --first 42"


def test_wrong_usage_is_told_as_it_is(fuzz_ops, program):
    with pytest.raises(DetkitError, match="^OP: nms$"):
        fuzz_ops.run_cases(program("echo OP: nms >&2; exit 2"), "avx2", ["--only", "x"])


def test_an_instruction_set_that_is_not_there(fuzz_ops, program, capsys):
    assert fuzz_ops.available(program("echo 0"), "baseline")
    assert capsys.readouterr().out == ""
    other = fuzz_ops.ISAS[-1]
    assert fuzz_ops.available(program("echo 7"), other) is False
    assert capsys.readouterr().out == f"{other}: skipped, this processor does not have it\n"


def test_other_bits_on_another_instruction_set(fuzz_ops):
    digests = [np.arange(5, dtype="uint64"), np.arange(5, dtype="uint64")]
    fuzz_ops.compare(["baseline", "avx2"], digests, [3, 100])
    digests[1][[2, 4]] = 9
    with pytest.raises(fuzz_ops.FuzzError) as caught:
        fuzz_ops.compare(["baseline", "avx2"], digests, [3, 100, "--only", "nms"])
    assert str(caught.value) == (
        "avx2 and baseline give different bits in 2 cases, at first in\n"
        "  python tools/fuzz_ops.py --seed 3 --first 102 --cases 2 --only nms"
    )
