"""The tables and the picture of tools/benchmark_convs.py.

"Figures" are a dictionary as it is written to --json: what was measured, and "sides", {side: row}.
"""

from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

import numpy as np

from ..detectors.report import pyplot, versions
from ..errors import BenchmarkError
from .networks import work_of
from .sides import OURS, Point

Figures = Dict[str, Any]
Rows = List[List[str]]
PASSES = 3  # of a training: the outputs, the gradients of the data, those of the kernels


def floor_of(point: Point, rates: Mapping[str, float]) -> Dict[str, float]:
    """Returns the seconds that the products and the bytes take at the rates of the machine.

    "winograd": with the products of F(4x4, 3x3). "direct": with those of the plain sum.
    """
    works = [work_of(chain, point.batch) for chain in point.chains]
    passes = PASSES if point.training else 1
    moved = passes * sum(work.moved for work in works) / rates["bytes"]
    products = {
        "winograd": sum(work.products for work in works),
        "direct": sum(work.direct for work in works),
    }
    return {name: passes * count / rates["operations"] + moved for name, count in products.items()}


def side_row(
    point: Point,
    taken: Sequence[Sequence[float]],
    memory: int,
    error: float,
    about: Mapping[str, str],
) -> Figures:
    """Returns the figures of a side. taken: the seconds of each chain in each round."""
    totals, chains = np.sum(taken, axis=1), np.median(taken, axis=0)
    return {
        "median": float(np.median(totals)),
        "fastest": float(totals.min()),
        "seconds": totals.tolist(),
        "chains": dict(zip((chain.name for chain in point.chains), chains.tolist())),
        "memory": memory,
        "difference": error,
        "about": dict(about),
    }


def heading(figures: Figures) -> str:
    """Returns one line about what was measured."""
    height, width = figures["size"]
    what = "forward and backward" if figures["training"] else "forward"
    return (
        f"{figures['network']}, {what}, {height}x{width}, batch {figures['batch']}, "
        f"{figures['threads']} threads"
    )


def notes(figures: Figures) -> List[str]:
    """Returns lines about the machine, the floor and detkit's workspace."""
    rates, floor, workspace = figures["rates"], figures["floor"], figures["workspace"]
    return [
        versions(*(side["about"] for side in figures["sides"].values())),
        f"floor: {1e3 * floor['winograd']:.1f} ms ({1e3 * floor['direct']:.1f} ms without "
        f"Winograd's filtering) at {rates['operations'] / 1e9:.1f} G multiply-adds/s and "
        f"{rates['bytes'] / 1e9:.1f} GB/s",
        f"workspace of detkit's operator: {workspace['forward'] / 1e6:.1f} MB forward, "
        f"{workspace['backward'] / 1e6:.1f} MB backward",
    ]


def side_table(figures: Figures) -> Rows:
    """Returns a row for each side, after a row of titles."""
    rows = [["", "median ms", "fastest ms", "/ detkit", "of floor", "difference", "memory MB"]]
    ours = figures["sides"][OURS]["median"]
    for name, side in figures["sides"].items():
        rows.append(
            [
                name,
                f"{1e3 * side['median']:.1f}",
                f"{1e3 * side['fastest']:.1f}",
                f"{side['median'] / ours:.2f}",
                f"{figures['floor']['winograd'] / side['median']:.0%}",
                f"{side['difference']:.1e}",
                f"{side['memory'] / 1e6:.0f}",
            ]
        )
    return rows


def chain_table(figures: Figures) -> Rows:
    """Returns the milliseconds of each chain, with a column for each side."""
    sides = figures["sides"]
    rows = [["ms", *sides]]
    for chain in sides[OURS]["chains"]:
        rows.append([chain, *(f"{1e3 * side['chains'][chain]:.1f}" for side in sides.values())])
    return rows


def text(figures: Figures) -> str:
    """Returns the figures as lines of aligned columns."""
    lines = [heading(figures), *notes(figures)]
    for rows in (side_table(figures), chain_table(figures)):
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines.append("")
        for first, *others in rows:
            cells = (cell.rjust(width) for cell, width in zip(others, widths[1:]))
            lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(lines)


def markdown(all_figures: Sequence[Figures]) -> str:
    """Returns all figures as tables of Markdown."""
    lines: List[str] = []
    for figures in all_figures:
        lines += [f"## {heading(figures)}", "", f"- {figures['processor']}"]
        lines += [f"- {note}" for note in notes(figures)] + [""]
        for titles, *rows in (side_table(figures), chain_table(figures)):
            lines += [" | ".join(titles), " | ".join(["---", *["---:"] * (len(titles) - 1)])]
            lines += [" | ".join(row) for row in rows] + [""]
    return "\n".join(f"| {line} |" if " | " in line else line for line in lines)


def plot(all_figures: Sequence[Figures], path: Path) -> None:
    """Writes a picture with two diagrams for each network: over the sizes, over the batches.

    Raises BenchmarkError if Matplotlib is missing or the file cannot be written.
    """
    plt = pyplot()
    groups: Dict[Any, List[Figures]] = {}
    for figures in all_figures:
        groups.setdefault((figures["network"], figures["training"]), []).append(figures)
    height = 4 * len(groups)
    drawing, axes = plt.subplots(
        len(groups), 2, figsize=(12, height), squeeze=False, layout="constrained"
    )
    for (over_sizes, over_batches), measured in zip(axes, groups.values()):
        batch, size = measured[0]["batch"], measured[0]["size"]
        of_batch = [figures for figures in measured if figures["batch"] == batch]
        of_size = [figures for figures in measured if figures["size"] == size]
        _lines(over_sizes, of_batch, lambda each: max(each["size"]))
        _lines(over_batches, of_size, lambda each: each["batch"])
        over_sizes.set(title=f"{heading(measured[0]).split(', ')[0]}, batch {batch}")
        over_sizes.set(xlabel="longer side in pixels")
        over_batches.set(title=f"{size[0]}x{size[1]}", xlabel="images in a batch")
    axes[0, 1].legend(fontsize="small")
    try:
        drawing.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path}: the picture cannot be written: {error}") from error
    plt.close(drawing)


def _lines(axis: Any, measured: Sequence[Figures], place: Any) -> None:
    for name in measured[0]["sides"]:
        points = sorted((place(each), _per_megapixel(each, name)) for each in measured)
        axis.plot(*zip(*points), marker="o", label=name)
    axis.set(ylabel="ms per megapixel, median", ylim=(0, None))


def _per_megapixel(figures: Figures, name: str) -> float:
    height, width = figures["size"]
    return 1e9 * figures["sides"][name]["median"] / (figures["batch"] * height * width)
