"""A short run of tools/fuzz_ops.py; the long ones are run by hand."""

import importlib.util
import shutil
import stat

import numpy as np
import pytest

from detkit import cli, processor
from detkit.errors import DetkitError
from detkit.ops.compile import FUSED_KERNELS
from support import aarch64, tiny

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
def program(fuzz_ops, tmp_path):
    """A function: a program that does what a shell script says."""

    def write(script, isa="avx2", number=1):
        path = tmp_path / "fuzz"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return fuzz_ops.Program(isa, (path,), {"DETKIT_ISA": isa}, number)

    return write


@pytest.fixture(scope="module")
def quick_builds(fuzz_ops, tmp_path_factory):
    """Compiles each program once for all tests, without the builds for instruction sets that this
    processor does not have, and leaves all kernels but those of boxes unoptimised.

    The sanitizers look at the same accesses. The kernels of boxes are optimised as always: without
    it, the same bits on every instruction set would say little.
    """
    call, compile_into, kernel_builds = (
        getattr(fuzz_ops, name) for name in ("call", "compile_into", "kernel_builds")
    )
    here = {each.name for each in processor.levels()}
    sources = {fuzz_ops.SOURCES / "cpu" / f"{kernel}.cc" for kernel in FUSED_KERNELS}
    made = {}

    def quick_call(command):
        quick = ["-O0"] if sources & set(command) else []
        if "-c" not in command:  # a build that is left out is never called
            quick = ["-no-pie", "-Wl,--unresolved-symbols=ignore-all"]
        return call([*command, *quick])

    def builds_that_run(isas, bfloat16):
        return [build for build in kernel_builds(isas, bfloat16) if build[1] in here]

    def compile_once(folder, compiler, isas):
        if compiler not in made:
            kept = tmp_path_factory.mktemp(folder.name)
            made[compiler] = compile_into(kept, compiler, isas)
        return made[compiler]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fuzz_ops, "call", quick_call)
        patch.setattr(fuzz_ops, "compile_into", compile_once)
        patch.setattr(fuzz_ops, "kernel_builds", builds_that_run)
        yield


@pytest.mark.slow
@needs_compiler
@pytest.mark.usefixtures("quick_builds")
def test_six_hundred_cases(fuzz_ops, capsys):
    assert cli.run(fuzz_ops.main, ["--cases", "600", "--seed", "7"]) == 0
    printed = capsys.readouterr().out
    here = {each.name for each in processor.levels()} & set(fuzz_ops.ISAS)
    share = -(-600 // len(here))
    for isa in fuzz_ops.ISAS:
        assert (f"{isa}: {share:,} cases" in printed) == (isa in here), printed
        assert (f"{isa}: skipped" in printed) == (isa not in here), printed
    assert printed.endswith(f"\n{share * len(here):,} cases, no failure\n")


@pytest.mark.slow
@needs_compiler
@aarch64.NEEDED
@pytest.mark.usefixtures("quick_builds")
def test_the_same_bits_on_aarch64(fuzz_ops, capsys):
    cases = ["--cases", "1200", "--seed", "7"]
    assert cli.run(fuzz_ops.main, ["--isa", "baseline", "aarch64", *cases]) == 0
    printed = capsys.readouterr().out
    assert "baseline: 600 cases" in printed, printed
    assert "aarch64: 600 cases" in printed, printed
    assert printed.endswith("\n1,200 cases, no failure\n")


@aarch64.NEEDED
def test_the_sanitizer_works_on_aarch64(fuzz_ops, tmp_path):
    """Under qemu, which not every sanitizer survives: here it has something to find."""
    source, path = tmp_path / "beyond.cc", tmp_path / "beyond"
    source.write_text(
        "#include <stdlib.h>\n"
        "int main(int count, char**) {\n"
        "  char* volatile one = static_cast<char*>(malloc(1));\n"
        "  return one[count];\n"
        "}\n"
    )
    fuzz_ops.call([fuzz_ops.CROSS_COMPILER, *fuzz_ops.FLAGS, source, "-o", path])
    with pytest.raises(fuzz_ops.FuzzError, match="heap-buffer-overflow"):
        fuzz_ops.run_cases(fuzz_ops.on_aarch64(path), [])


def test_a_cross_compiler_that_is_missing(fuzz_ops, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.run(fuzz_ops.main, ["--isa", "aarch64", "--cases", "1"]) == 1
    assert "apt install g++-aarch64-linux-gnu qemu-user" in capsys.readouterr().err


def test_a_failure_names_its_case(fuzz_ops, program):
    failing = program("echo 'index 9' >&2; echo 'FAILED nms: --seed 3 --first 42' >&2; exit 1")
    with pytest.raises(fuzz_ops.FuzzError) as caught:
        fuzz_ops.run_cases(failing, [])
    lines = str(caught.value).splitlines()
    assert lines[0] == "index 9"
    assert lines[-1] == "  python tools/fuzz_ops.py --isa avx2 --seed 3 --first 42"


def test_wrong_usage_is_told_as_it_is(fuzz_ops, program):
    with pytest.raises(DetkitError, match="^OP: nms$"):
        fuzz_ops.run_cases(program("echo OP: nms >&2; exit 2"), ["--only", "x"])


def test_an_instruction_set_that_is_not_there(fuzz_ops, program, capsys):
    assert fuzz_ops.available(program("echo 0", "baseline", 0))
    assert capsys.readouterr().out == ""
    assert fuzz_ops.available(program("echo 7")) is False
    assert capsys.readouterr().out == "avx2: skipped, this processor does not have it\n"


def test_other_bits_on_another_instruction_set(fuzz_ops):
    digests = [np.arange(5, dtype="uint64"), np.arange(5, dtype="uint64")]
    fuzz_ops.compare(["baseline", "avx2"], digests, [3, 100])
    digests[1][[2, 4]] = 9
    with pytest.raises(fuzz_ops.FuzzError) as caught:
        fuzz_ops.compare(["baseline", "avx2"], digests, [3, 100, "--only", "nms"])
    assert str(caught.value) == (
        "avx2 and baseline give different bits in 2 cases, at first in\n"
        "  python tools/fuzz_ops.py --isa baseline avx2 --seed 3 --first 102 --cases 2 --only nms"
    )
