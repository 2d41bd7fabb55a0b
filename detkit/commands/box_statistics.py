"""Measures the box targets of a Fast R-CNN: ``detkit box-statistics``."""

import argparse
from typing import Iterable

from detkit.build import open_config
from detkit.build.box_statistics import Measured, measure_box_statistics

DIGITS = 6  # significant ones


def main(args: argparse.Namespace) -> None:
    """Prints the section ``model.postprocess`` that the measured numbers make."""
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


def _row(numbers: Iterable[float]) -> str:
    return f"[{', '.join(f'{number:.{DIGITS}g}' for number in numbers)}]"
