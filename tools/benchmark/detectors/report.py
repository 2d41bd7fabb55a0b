"""The tables and the picture of tools/benchmark.py.

"Figures" are a dictionary as it is written to --json: what was measured, and "sides", {side: row}.
"""

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from detkit.wording import install

from ..errors import BenchmarkError
from .sides import Side

OURS = "detkit"
STAGES = [
    "normalize",
    "backbone",
    "neck",
    "anchors",
    "rpn_head",
    "proposals",
    "roi_extractor",
    "roi_head",
    "postprocess",
    "mask_extractor",
    "mask_head",
    "keypoint_extractor",
    "keypoint_head",
    "rest",
    "total",
]
Figures = Dict[str, Any]


def row(
    side: Side,
    taken: Mapping[str, Sequence[float]],
    clock: str,
    peak: int,
    share: Optional[float],
    about: Mapping[str, str],
) -> Figures:
    """Returns the figures of a side, for the table and the JSON file."""
    chosen = taken[clock]
    return {
        "precision": side.precision,
        "median": float(np.median(chosen)),
        "fastest": min(chosen),
        **taken,
        "peak": peak,
        "matched": share,
        "about": about,
    }


def best_of_ours(sides: Mapping[str, Figures]) -> Dict[str, float]:
    """Returns {precision: median seconds of detkit's fastest form}."""
    best: Dict[str, float] = {}
    for name, side in sides.items():
        if name.startswith(OURS):
            precision = side["precision"]
            best[precision] = min(side["median"], best.get(precision, np.inf))
    return best


def heading(figures: Figures) -> str:
    """Returns one line about what was measured."""
    height, width = figures["size"]
    what = "a training step" if figures["training"] else "detecting"
    return (
        f"{figures['model']}, {what}, {height}x{width}, batch {figures['batch']}, "
        f"{figures['threads']} threads, {figures['clock']} time"
    )


def versions(*abouts: Mapping[str, str]) -> str:
    """Returns the packages and versions of some sides, each once."""
    return ", ".join({f"{name} {about[name]}": None for about in abouts for name in about})


def table(figures: Figures) -> str:
    """Returns the heading and a line for each side.

    A ratio is the side's median divided by the median of detkit's fastest form in a precision.
    """
    sides = figures["sides"]
    best = best_of_ours(sides)
    ratios = "".join(f"{f'/ our {precision}':>12}" for precision in best)
    lines = [
        heading(figures),
        figures["processor"],
        versions(*(side["about"] for side in sides.values())),
        f"{'':24}{'median s':>10}{'fastest':>10}{ratios}{'peak MB':>10}{'same':>8}",
    ]
    for name, side in sides.items():
        ratios = "".join(f"{side['median'] / ours:12.2f}" for ours in best.values())
        share = "-" if side["matched"] is None else format(side["matched"], ".0%")
        lines.append(
            f"{name:24}{side['median']:10.3f}{side['fastest']:10.3f}{ratios}"
            f"{side['peak'] / 1e6:10.0f}{share:>8}"
        )
    return "\n".join(lines)


def stage_table(stages: Mapping[str, Mapping[str, float]]) -> str:
    """Returns the milliseconds of each stage, with a column for each side."""
    lines = [f"{'ms':16}" + "".join(f"{name:>24}" for name in stages)]
    for stage in STAGES:
        if any(stage in taken for taken in stages.values()):
            cells = [taken.get(stage) for taken in stages.values()]
            text = "".join(f"{'-' if s is None else format(1e3 * s, '.1f'):>24}" for s in cells)
            lines.append(f"{stage:16}{text}")
    return "\n".join(lines)


def floor_table(floors: Mapping[str, Mapping[str, float]]) -> str:
    """Returns the rates of a large convolution alone, in 10^9 multiply-adds a second."""
    lines = ["floor: a 3x3 convolution, 256 channels, 150x200, 10^9 multiply-adds a second"]
    for name, rates in floors.items():
        lines += [f"{name:24}{precision:>8}{r / 1e9:10.1f}" for precision, r in rates.items()]
    return "\n".join(lines)


def pyplot() -> Any:
    """Returns Matplotlib's pyplot, set to draw into files. Raises BenchmarkError without it."""
    try:
        import matplotlib
    except ImportError as error:
        raise BenchmarkError(f"--plot needs Matplotlib ({error}): {install('plot')}") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def plot(all_figures: Sequence[Figures], path: Path) -> None:
    """Writes a picture with a diagram for each detector.

    A diagram has bars, or lines if several sizes or batches were measured. Raises BenchmarkError if
    Matplotlib is missing or the file cannot be written.
    """
    plt = pyplot()
    groups: Dict[Any, List[Figures]] = {}
    for figures in all_figures:
        groups.setdefault((figures["model"], figures["training"]), []).append(figures)
    drawing, axes = plt.subplots(
        len(groups), 1, figsize=(9, 4 * len(groups)), squeeze=False, layout="constrained"
    )
    for axis, measured in zip(axes[:, 0], groups.values()):
        (_bars if len(measured) == 1 else _lines)(axis, measured)
    try:
        drawing.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path}: the picture cannot be written: {error}") from error
    plt.close(drawing)


def _bars(axis: Any, measured: Sequence[Figures]) -> None:
    (figures,) = measured
    sides = figures["sides"]
    colours = ["tab:blue" if name.startswith(OURS) else "tab:grey" for name in sides]
    axis.barh(list(sides), [side["median"] for side in sides.values()], color=colours)
    axis.invert_yaxis()
    axis.set(xlabel="seconds, median", title=heading(figures))


def _lines(axis: Any, measured: Sequence[Figures]) -> None:
    for name in measured[0]["sides"]:
        points = sorted(
            (each["batch"] * each["size"][0] * each["size"][1] / 1e6, each["sides"][name]["median"])
            for each in measured
        )
        axis.plot(*zip(*points), marker="o", label=name)
    title = heading(measured[0]).split(", ")
    axis.set(xlabel="megapixels in a batch", ylabel="seconds, median", ylim=(0, None))
    axis.set_title(", ".join(title[:2] + title[-2:]))
    axis.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
