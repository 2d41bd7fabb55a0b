"""Fuzzes detkit's C++ operators: random and hostile arrays under the address and UB sanitizers.

The kernels and tests/fuzz_*.cc are compiled into one program, which runs the same cases on every
instruction set this processor has; the box operators have to give the same bits on all of them.
"""

import argparse
import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from detkit.cli import debug_argument, positive, run
from detkit.errors import DetkitError
from detkit.ops.compile import (
    BOX_KERNELS,
    INSTRUCTION_SETS,
    ROI_KERNELS,
    SOURCES,
    find_compiler,
    instruction_sets,
)

DRIVER = Path(__file__).resolve().parents[1] / "tests"
# Without OpenMP: its run-time library is not built for the sanitizers, which report its threads'
# memory as leaks. The loops are the same, on one thread.
FLAGS = (
    *("-std=c++17", "-O1", "-g1", "-fopenmp-simd", "-Wno-unknown-pragmas"),
    *("-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"),
)
ISAS = list(instruction_sets())  # in the order of detkit_isa()'s numbers
FAILED = re.compile(r"^FAILED .*?: (.*)$", re.MULTILINE)


class FuzzError(DetkitError):
    """A case failed; the message has what was seen and the command that repeats it."""


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=positive, default=1000000, help="over all instruction sets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--only", metavar="OP", help="one operator, for example roi_align")
    parser.add_argument("--isa", choices=ISAS, help="one instruction set")
    debug_argument(parser)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        start = time.time()
        program = compile_into(Path(folder))
        print(f"compiled in {time.time() - start:.0f} s")
        isas = [isa for isa in ([args.isa] if args.isa else ISAS) if available(program, isa)]
        if not isas:
            raise FuzzError(f"this processor has no {args.isa}")
        fuzz(program, isas, args)


def compile_into(folder):
    """Compile and link the program; its path. Raises DetkitError where that fails."""
    compiler = find_compiler()
    jobs = [("isa", SOURCES / "isa.cc", ())]
    jobs += [(path.stem, path, ("-I", SOURCES)) for path in sorted(DRIVER.glob("fuzz_*.cc"))]
    for kernels, contract in ((ROI_KERNELS, "fast"), (BOX_KERNELS, "off")):
        jobs += [
            (
                f"{kernel}.{isa}",
                SOURCES / f"{kernel}.cc",
                (f"-ffp-contract={contract}", *INSTRUCTION_SETS[isa]),
            )
            for kernel, isa in itertools.product(kernels, ISAS)
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


def available(program, isa):
    """Whether this processor has the instruction set; says so where it has not."""
    has = run_cases(program, isa, ["--cases", 0]).strip() == str(ISAS.index(isa))
    if not has:
        print(f"{isa}: skipped, this processor does not have it")
    return has


def run_cases(program, isa, arguments):
    """What the program prints. Raises FuzzError with the command that repeats a failing case."""
    done = subprocess.run(
        [str(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "DETKIT_ISA": isa},
    )
    if done.returncode == 2:
        raise DetkitError(done.stderr.strip())
    if done.returncode:
        case = FAILED.search(done.stderr)
        repeat = f"--isa {isa} {case.group(1)}" if case else f"--isa {isa}, from the same seed"
        raise FuzzError(f"{done.stderr[-6000:].strip()}\n  python tools/fuzz_ops.py {repeat}")
    return done.stdout


def fuzz(program, isas, args):
    """Run a share of the cases on each instruction set, the same on each."""
    share = -(-args.cases // len(isas))
    only = ["--only", args.only] if args.only else []

    def one(isa):
        start, file = time.time(), program.parent / isa
        arguments = ["--seed", args.seed, "--first", args.first, "--cases", share, *only]
        run_cases(program, isa, [*arguments, "--digests", file])
        print(f"{isa}: {share:,} cases, {share / (time.time() - start):,.0f} per second")
        return np.fromfile(file, "uint64")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = list(pool.map(one, isas))
    compare(isas, digests, [args.seed, args.first, *only])
    print(f"{share * len(isas):,} cases, no failure")


def compare(isas, digests, replay):
    """Raises FuzzError for the first case whose bits depend on the instruction set."""
    seed, first, *only = replay
    for isa, digest in zip(isas[1:], digests[1:]):
        differs = np.flatnonzero(digest != digests[0])
        if len(differs):
            case = ["--seed", seed, "--first", first + differs[0], "--cases", len(isas), *only]
            raise FuzzError(
                f"{isa} and {isas[0]} give different bits in {len(differs)} cases, at first in\n"
                f"  python tools/fuzz_ops.py {' '.join(map(str, case))}"
            )


if __name__ == "__main__":
    sys.exit(run(main))
