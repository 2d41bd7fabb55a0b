"""Fuzzes detkit's C++ operators: random and hostile arrays under the address and UB sanitizers.

The kernels and tests/ops/native/fuzz_*.cc are compiled into one program, which runs the same cases
on every instruction set of this processor; the box operators have to give the same bits on all.
With --isa they run on those named alone, of which aarch64 may be one: a cross compiler's program
under qemu.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, NamedTuple, Tuple

import numpy as np

from detkit.cli import debug_argument, positive, run
from detkit.errors import DetkitError
from detkit.ops.compile import (
    BFLOAT16,
    SOURCES,
    find_compiler,
    instruction_sets,
    kernel_builds,
    knows_bfloat16,
)

DRIVER = Path(__file__).resolve().parents[1] / "tests/ops/native"
# Without OpenMP: its run-time library is not built for the sanitizers, which report its threads'
# memory as leaks. The loops are the same, on one thread.
FLAGS = (
    *("-std=c++17", "-O1", "-g1", "-fopenmp-simd", "-Wno-unknown-pragmas"),
    *("-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"),
)
# Aarch64 has fused instructions in its baseline: the cases are to be the same numbers there.
DRIVER_FLAGS = ("-ffp-contract=off", "-I", SOURCES)
SETS = list(instruction_sets())
ISAS = [*SETS, *([BFLOAT16] if "avx512" in SETS else [])]  # in the order of detkit_isa()'s numbers
AARCH64 = "aarch64"
CROSS_COMPILER = "aarch64-linux-gnu-g++"
# Debian's packages qemu-user and qemu-user-static name the same program differently.
QEMU = next(filter(shutil.which, ("qemu-aarch64", "qemu-aarch64-static")), "qemu-aarch64")
LIBRARIES = "/usr/aarch64-linux-gnu"  # where Debian has that machine's libraries
FAILED = re.compile(r"^FAILED .*?: (.*)$", re.MULTILINE)


class FuzzError(DetkitError):
    """A case failed; the message has what was seen and the command that repeats it."""


class Program(NamedTuple):
    """The compiled program on one instruction set.

    words: the command without its arguments. variables: what it finds in its environment. number:
    what its detkit_isa() is.
    """

    isa: str
    words: Tuple[str, ...]
    variables: Dict[str, str]
    number: int


def main(argv=None):
    """Compiles the programs and runs the cases; raises DetkitError for a case that fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=positive, default=1000000, help="over all instruction sets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--only", metavar="OP", help="one operator, for example roi_align")
    parser.add_argument(
        "--isa", nargs="+", choices=[*ISAS, AARCH64], default=ISAS, help="these instruction sets"
    )
    debug_argument(parser)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        start = time.time()
        made = programs(args.isa, Path(folder))
        print(f"compiled in {time.time() - start:.0f} s")
        made = [program for program in made if available(program)]
        if not made:
            raise FuzzError(f"this processor has no {' and no '.join(args.isa)}")
        fuzz(made, args, Path(folder))


def programs(isas, folder):
    """A Program for each of the instruction sets. Raises DetkitError where one cannot be made."""
    made = []
    native = [isa for isa in ISAS if isa in isas]
    if native:
        path = compile_into(folder / "native", find_compiler(), SETS)
        made += [Program(isa, (path,), {"DETKIT_ISA": isa}, ISAS.index(isa)) for isa in native]
    if AARCH64 in isas:
        for tool in (CROSS_COMPILER, QEMU):
            if not shutil.which(tool):
                raise DetkitError(
                    f"there is no {tool} on PATH; apt install g++-aarch64-linux-gnu qemu-user"
                )
        made.append(on_aarch64(compile_into(folder / AARCH64, CROSS_COMPILER, ["baseline"])))
    return made


def on_aarch64(path):
    """The Program at a path, under qemu."""
    # Leaks are looked for by ptrace, which qemu does not have.
    variables = {"DETKIT_ISA": "baseline", "ASAN_OPTIONS": "detect_leaks=0"}
    return Program(AARCH64, (QEMU, "-L", LIBRARIES, path), variables, 0)


def compile_into(folder, compiler, isas):
    """Compile and link the program; its path. Raises DetkitError where that fails."""
    folder.mkdir(exist_ok=True)
    jobs = [(path.stem, path, DRIVER_FLAGS) for path in sorted(DRIVER.glob("fuzz_*.cc"))]
    jobs += [
        (f"{source.stem}.{build}", source, flags)
        for source, build, flags in kernel_builds(isas, knows_bfloat16(compiler))
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        compiled = [
            pool.submit(call, [compiler, *FLAGS, *flags, "-c", source, "-o", folder / f"{name}.o"])
            for name, source, flags in jobs
        ]
    objects = [folder / f"{name}.o" for name, *_ in jobs]
    for job in compiled:
        job.result()
    call([compiler, *FLAGS, *objects, "-o", folder / "fuzz"])
    return folder / "fuzz"


def call(command):
    command = list(map(str, command))
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise DetkitError(f"cannot compile:\n{done.stdout[-3000:]}\n  {' '.join(command)}")


def available(program):
    """Whether its processor has the instruction set; says so where it has not."""
    has = run_cases(program, ["--cases", 0]).strip() == str(program.number)
    if not has:
        print(f"{program.isa}: skipped, this processor does not have it")
    return has


def run_cases(program, arguments):
    """Runs a program and returns what it prints.

    Raises FuzzError with the command that repeats a failing case.
    """
    done = subprocess.run(
        [*map(str, (*program.words, *arguments))],
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, **program.variables},
    )
    if done.returncode == 2:
        raise DetkitError(done.stderr.strip())
    if done.returncode:
        case = FAILED.search(done.stderr)
        repeat = f"{program.isa} {case.group(1)}" if case else f"{program.isa}, from the same seed"
        raise FuzzError(f"{done.stderr[-6000:].strip()}\n  python tools/fuzz_ops.py --isa {repeat}")
    return done.stdout


def fuzz(made, args, folder):
    """Run a share of the cases on each instruction set, the same on each."""
    share = -(-args.cases // len(made))
    only = ["--only", args.only] if args.only else []

    def one(program):
        start, file = time.time(), folder / f"{program.isa}.digests"
        arguments = ["--seed", args.seed, "--first", args.first, "--cases", share, *only]
        run_cases(program, [*arguments, "--digests", file])
        print(f"{program.isa}: {share:,} cases, {share / (time.time() - start):,.0f} per second")
        return np.fromfile(file, "uint64")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = list(pool.map(one, made))
    compare([program.isa for program in made], digests, [args.seed, args.first, *only])
    print(f"{share * len(made):,} cases, no failure")


def compare(isas, digests, replay):
    """Raises FuzzError for the first case whose bits depend on the instruction set."""
    seed, first, *only = replay
    for isa, digest in zip(isas[1:], digests[1:]):
        differs = np.flatnonzero(digest != digests[0])
        if len(differs):
            case = ["--seed", seed, "--first", first + differs[0], "--cases", 2, *only]
            raise FuzzError(
                f"{isa} and {isas[0]} give different bits in {len(differs)} cases, at first in\n"
                f"  python tools/fuzz_ops.py --isa {isas[0]} {isa} {' '.join(map(str, case))}"
            )


if __name__ == "__main__":
    sys.exit(run(main))
