"""Measures how many images a second whole detectors finish, and how long one of them takes.

A number of cores is shared in several ways: by one process that uses all cores for one image or
for a batch, by a process for each core, or by one process with a thread for each core (--ways).
The sides are those of tools/benchmark.py: detkit's forms, other frameworks, and with --program the
C++ program of tools/deploy. They take turns, and work for some seconds in each. Before they are
timed, all sides in full precision must agree.

Each process is limited to its cores. The memory of a way is the sum of its processes, in which the
pages of shared libraries are counted again for each. A ratio is the images a second of the best of
detkit's sides divided by those of a side: above 1, the side is slower.
"""

import argparse
import json
import platform
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import detkit
from benchmark.arguments import Size, seconds
from benchmark.detectors.arguments import add_detectors, complete
from benchmark.detectors.running_ways import WAYS, RunningWay, Way, ways_of
from benchmark.detectors.sides import PEERS, Side, program_sides, sides_of
from benchmark.detectors.throughput_report import Figures, row, summary, way_table
from benchmark.detectors.worker_process import write_files
from detkit.cli import debug_argument, positive, run
from detkit.threads import a_cpu_of_each_core

DEFAULT_FORMS = ("static_alloc", "exported", "bf16", "int8")
# GluonCV's networks take one image at a time and cannot be shared by threads.
PEERS_MEASURED = tuple(peer for peer in PEERS if peer != "gluoncv")


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Measures, prints the tables, writes the file."""
    args = parsed(argv)
    versions = f"detkit {detkit.__version__}, Python {platform.python_version()}"
    print(f"{args.processor}; {versions}", flush=True)
    for side, reason in args.left_out.items():
        print(f"{side} is left out: {reason}", flush=True)
    figures: List[Figures] = []
    for model in args.models:
        with tempfile.TemporaryDirectory() as folder:
            write_files(model, Path(folder), args.forms, args.peers)
            for size, cores in product(args.size, args.cores):
                figures += measure(model, size, cores, Path(folder), args)
                if args.json:  # after each point, because a later one may fail
                    with open(args.json, "w", encoding="utf-8") as file:
                        json.dump(figures, file, indent=1)


def parsed(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Returns the arguments, checked and completed."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_detectors(parser, DEFAULT_FORMS, PEERS_MEASURED)
    add_measures(parser)
    debug_argument(parser)
    args = parser.parse_args(argv)
    complete(parser, args)
    available = len(a_cpu_of_each_core())
    args.cores = args.cores or default_cores(available)
    if max(args.cores) > available:
        parser.error(f"--cores: expected at most {available}, found {max(args.cores)}")
    if not any(ways_of(args.ways, cores, args.batch) for cores in args.cores):
        parser.error(
            f"--ways {' '.join(args.ways)}: expected --cores above 1 or --batch above 1, found "
            f"--cores {max(args.cores)} and --batch {args.batch}, on which these are no other ways"
        )
    if args.program and not args.program.is_file():
        parser.error(
            f"--program: expected the program that tools/deploy builds, found no file "
            f"{str(args.program)!r}"
        )
    return args


def default_cores(available: int) -> List[int]:
    """Returns the powers of two below the available cores, and all of these."""
    return [2**n for n in range(available.bit_length()) if 2**n < available] + [available]


def add_measures(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that choose what is measured."""
    parser.add_argument(
        "--program", type=Path, metavar="PATH", help="also measure this build/deploy/detect"
    )
    parser.add_argument(
        "--cores",
        type=positive,
        nargs="+",
        metavar="N",
        help="numbers of cores; default: powers of two, and all that the machine has",
    )
    parser.add_argument("--batch", type=positive, default=4, help="images in a batch; default: 4")
    parser.add_argument(
        "--ways",
        nargs="+",
        choices=WAYS,
        default=list(WAYS),
        metavar="WAY",
        help="; ".join(f"{name}: {what}" for name, what in WAYS.items()) + "; default: all",
    )
    parser.add_argument("--rounds", type=positive, default=5, help="turns of a side; default: 5")
    parser.add_argument(
        "--seconds", type=seconds, default=5.0, help="at least, of a turn; default: 5"
    )
    parser.add_argument(
        "--no-compare", action="store_true", help="measure the sides even if they disagree"
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures to this file")


def measure(
    model: str, size: Size, cores: int, folder: Path, args: argparse.Namespace
) -> List[Figures]:
    """Measures all ways on some cores; prints and returns the figures."""
    sides = sides_of(model, folder, args.forms, args.peers)
    sides = [side for side in sides if side.name not in args.left_out]
    programs = program_sides(model, folder, args.forms, args.program)
    measured = []
    for way in ways_of(args.ways, cores, args.batch):
        # Processes of the program would not work at the same time: each is started for its turn.
        together = sides if way.instances > 1 else [*sides, *programs]
        figures = {"model": model, "size": size, "cores": cores, "way": way._asdict()}
        figures.update(processor=args.processor, left_out=args.left_out)
        figures["sides"] = measure_way(way, size, together, folder, args)
        print(f"\n{way_table(figures)}", flush=True)
        measured.append(figures)
    if len(measured) > 1:
        print(f"\n{summary(measured)}", flush=True)
    return measured


def measure_way(
    way: Way, size: Size, sides: Sequence[Side], folder: Path, args: argparse.Namespace
) -> Dict[str, Figures]:
    """Measures all sides in one way; returns {side: row}."""
    cpus = a_cpu_of_each_core()[: way.instances * way.streams * way.threads]
    with RunningWay(way, sides, cpus, folder) as running:
        running.use(size)
        shares = running.agreements(required=not args.no_compare)
        measured = running.measure(args.rounds, args.seconds)
        return {
            side.name: row(side, measured[side.name], shares[side.name], running.about[side.name])
            for side in sides
        }


if __name__ == "__main__":
    sys.exit(run(main))
