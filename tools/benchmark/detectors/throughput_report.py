"""The tables of tools/benchmark_throughput.py.

"Figures" are a dictionary as it is written to --json: what was measured, and "sides", {side: row}.
"""

from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from .report import OURS, versions
from .running_ways import WAYS, Way
from .sides import Side

Figures = Dict[str, Any]


def row(
    side: Side,
    measured: Mapping[str, Sequence[float]],
    share: Optional[float],
    about: Mapping[str, str],
) -> Figures:
    """Returns the figures of a side in one way.

    measured: what RunningWay.measure returns of the side.
    """
    return {
        "precision": side.precision,
        "rate": float(np.median(measured["rates"])),
        "latency": float(np.median(measured["latencies"])),
        "peak": max(measured["peaks"]),
        "rates": measured["rates"],
        "matched": share,
        "about": about,
    }


def best_of_ours(rows: Mapping[str, Figures]) -> Dict[str, float]:
    """Returns {precision: most images a second of detkit's sides}."""
    best: Dict[str, float] = {}
    for name, side in rows.items():
        if name.startswith(OURS):
            best[side["precision"]] = max(side["rate"], best.get(side["precision"], 0.0))
    return best


def heading(figures: Figures) -> str:
    """Returns one line about what was measured."""
    height, width = figures["size"]
    cores = f"{figures['cores']} core{'s' if figures['cores'] > 1 else ''}"
    return f"{figures['model']}, {height}x{width}, {cores}"


def way_table(figures: Figures) -> str:
    """Returns the heading and a line for each side in one way.

    A ratio is the images a second of the best of detkit's sides in a precision, divided by those of
    the side: above 1, the side is slower.
    """
    sides, way = figures["sides"], Way(**figures["way"])
    lines = [
        f"{heading(figures)}: {WAYS[way.name]} ({way})",
        figures["processor"],
        versions(*(side["about"] for side in sides.values())),
    ]
    return "\n".join([*lines, *rows_of(sides, dict.fromkeys(sides, ""))])


def summary(all_figures: Sequence[Figures]) -> str:
    """Returns a line for each side with its best way on the same images and cores."""
    best: Dict[str, Figures] = {}
    ways: Dict[str, str] = {}
    for figures in all_figures:
        for name, side in figures["sides"].items():
            if name not in best or side["rate"] > best[name]["rate"]:
                best[name], ways[name] = side, figures["way"]["name"]
    title = f"{heading(all_figures[0])}: the best way of each side"
    return "\n".join([title, *rows_of(best, ways)])


def rows_of(sides: Mapping[str, Figures], ways: Mapping[str, str]) -> List[str]:
    """Returns the titles of the columns and a line for each side.

    ways: {side: what stands in the last column}.
    """
    ours = best_of_ours(sides)
    titles = "".join(f"{f'our {precision} /':>12}" for precision in ours)
    lines = [f"{'':26}{'images/s':>10}{titles}{'s a run':>10}{'peak MB':>10}{'same':>8}"]
    for name, side in sides.items():
        ratios = "".join(f"{rate / side['rate']:12.2f}" for rate in ours.values())
        share = "-" if side["matched"] is None else format(side["matched"], ".0%")
        lines.append(
            f"{name:26}{side['rate']:10.2f}{ratios}{side['latency']:10.3f}"
            f"{side['peak'] / 1e6:10.0f}{share:>8}  {ways[name]}".rstrip()
        )
    return lines
