"""Measures the box targets of a Fast R-CNN, and prints the config that normalises them."""

import argparse
import sys
from typing import Optional, Sequence

from detkit.build import open_config
from detkit.build.box_statistics import Measured, measure_box_statistics
from detkit.cli import common_arguments, run

DIGITS = 6  # significant ones


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Prints the section ``model.postprocess`` that the measured numbers make."""
    parser = argparse.ArgumentParser(description=__doc__)
    common_arguments(parser)
    parser.add_argument(
        "--per-class", action="store_true", help="print a row for each class, not one for all"
    )
    args = parser.parse_args(argv)
    measured = measure_box_statistics(open_config(args.config, args.overrides))
    print(as_config(measured, args.per_class), end="")


def as_config(measured: Measured, per_class: bool) -> str:
    """Returns YAML, which can be a ``_base_`` of a config."""
    lines = [
        f"# Of {measured.counts.sum()} positive RoIs of an epoch, with the box_weights below.",
        "model:",
        "  postprocess:",
        f"    box_weights: {_row(measured.box_weights)}",
        "    box_statistics:",
    ]
    tables = {"means": (measured.mean, measured.means), "stds": (measured.std, measured.stds)}
    for name, (of_all, of_each) in tables.items():
        if not per_class:
            lines.append(f"      {name}: {_row(of_all)}")
            continue
        lines.append(f"      {name}:")
        for row, class_name, count in zip(of_each, measured.class_names, measured.counts):
            lines.append(f"        - {_row(row)}  # {class_name!r}, {count} RoIs")
    return "\n".join([*lines, ""])


def _row(numbers: Sequence[float]) -> str:
    return f"[{', '.join(f'{number:.{DIGITS}g}' for number in numbers)}]"


if __name__ == "__main__":
    sys.exit(run(main))
