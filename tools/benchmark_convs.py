"""Times the 3x3 convolutions of networks: detkit's operator beside MXNet's and other frameworks'.

The convolutions of a stage run one after the other, without the layers between them, as one network
of each framework, so that no framework converts its arrays more often than it must. Each side runs
in a process of its own. All results are compared before the sides are timed in turn, in float32.
The floor is the time of the products of Winograd's F(4x4, 3x3) and of the necessary bytes, at the
rates measured on this machine; the share of it is the floor divided by a side's time.

A peer may run under another interpreter, without detkit: --peer torch=/path/to/python.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Tuple

from benchmark.arguments import add_peers, size
from benchmark.convolutions import report
from benchmark.convolutions.networks import NETWORKS, SIZES, Size
from benchmark.convolutions.sides import PEERS, Point, RunningSides, left_out, sides_of
from benchmark.detectors.report import pyplot
from benchmark.instruction_limit import describe
from detkit.cli import debug_argument, positive, run

# The sizes with one image, and the batches of the first of them.
SWEEP = ((320, 427), (480, 640), (600, 800), (800, 1067), (1000, 1333)), (1, 2, 4, 8)


class Measurement(NamedTuple):
    """A measurement of a network at one size and batch, with or without its backward pass."""

    network: str
    size: Size
    batch: int
    training: bool


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Measures, prints the tables, writes the files."""
    args = parsed(argv)
    if args.plot:
        pyplot()  # its absence must be known before the measuring
    args.processor, args.left_out = describe(), left_out(args.peers)
    print(args.processor, flush=True)
    for peer, reason in args.left_out.items():
        print(f"{peer} is left out: {reason}", flush=True)
    figures: List[report.Figures] = []
    for measurement in measurements(args):
        figures.append(measure(measurement, args))
        print(f"\n{report.text(figures[-1])}", flush=True)
        write(figures, args)  # after each measurement, because a later one may fail


def parsed(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Returns the arguments, checked and completed."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("networks", metavar="NETWORK", nargs="*", help=f"default: {', '.join(NETWORKS)}")
    add("--size", type=size, metavar="HxW", help="default: 600x800 of vgg16, 800x1067 of r50_fpn")
    add("--batch", type=positive, default=1, help="images in a batch; default: 1")
    add("--threads", type=positive, default=2, help="of each side; default: 2")
    add_peers(parser, PEERS)
    add(
        "--without",
        nargs="+",
        default=[],
        choices=[side for sides in PEERS.values() for side in sides],
        metavar="SIDE",
        help="peers' sides that are not measured: 'ncnn direct' needs gigabytes for a large image",
    )
    add("--rounds", type=positive, default=9, help="runs of each side; default: 9")
    add("--train", action="store_true", help="also measure the forward and the backward pass")
    add("--sweep", action="store_true", help="measure several sizes and batches")
    add("--no-compare", action="store_true", help="measure the sides even if they disagree")
    add("--json", metavar="FILE", help="write all figures to this file")
    add("--markdown", metavar="FILE.md", help="write the tables to this file")
    add("--plot", metavar="FILE.png", help="draw the figures, with Matplotlib")
    debug_argument(parser)
    args = parser.parse_args(argv)
    for network in args.networks:
        if network not in NETWORKS:
            parser.error(f"NETWORK: expected one of {', '.join(NETWORKS)}, found {network!r}")
    args.networks, args.peers = args.networks or list(NETWORKS), dict(args.peers)
    return args


def measurements(args: argparse.Namespace) -> List[Measurement]:
    """Returns what the arguments ask for."""
    found = []
    for network in args.networks:
        points = [(args.size or SIZES[network], args.batch)]
        if args.sweep:
            points = swept()
        for training in (False, True) if args.train else (False,):
            found += [Measurement(network, pixels, batch, training) for pixels, batch in points]
    return found


def swept() -> List[Tuple[Size, int]]:
    """Returns the pairs of size and batch of --sweep."""
    sizes, batches = SWEEP
    return [(pixels, batches[0]) for pixels in sizes] + [(sizes[0], n) for n in batches[1:]]


def measure(measurement: Measurement, args: argparse.Namespace) -> report.Figures:
    """Measures all sides at one point; returns the figures, as written to --json."""
    network, pixels, batch, training = measurement
    point = Point(NETWORKS[network](pixels), batch, training)
    peers = {peer: python for peer, python in args.peers.items() if peer not in args.left_out}
    sides = [side for side in sides_of(peers, training) if side.name not in args.without]
    with tempfile.TemporaryDirectory() as folder, RunningSides(
        sides, point, args.threads, Path(folder)
    ) as running:
        memory = running.memory()
        differences = running.differences(required=not args.no_compare)
        taken, rates = running.times(args.rounds), running.rates()
        about, workspace = running.about, running.workspace()
    return {
        **measurement._asdict(),
        "processor": args.processor,
        "threads": args.threads,
        "left_out": args.left_out,
        "rates": rates,
        "floor": report.floor_of(point, rates),
        "workspace": workspace,
        "sides": {
            name: report.side_row(point, rounds, memory[name], differences[name], about[name])
            for name, rounds in taken.items()
        },
    }


def write(figures: Sequence[report.Figures], args: argparse.Namespace) -> None:
    """Writes the figures to --json, --markdown and --plot."""
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
    if args.markdown:
        with open(args.markdown, "w", encoding="utf-8") as file:
            file.write(report.markdown(figures))
    if args.plot:
        report.plot(figures, args.plot)


if __name__ == "__main__":
    sys.exit(run(main))
