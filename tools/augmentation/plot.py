"""The plot of tools/few_images.py: AP over the number of training images."""

from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from detkit.errors import DetkitError
from detkit.wording import install


class PlotError(DetkitError):
    """Matplotlib is missing."""


def figure_class() -> Any:
    """Returns Matplotlib's Figure. Raises PlotError without it."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PlotError(f"the plot needs Matplotlib ({error}): {install('plot')}") from error
    return Figure


def plot(results: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]], path: Path) -> None:
    """Draws the AP of {variant: {images: the result of each seed}} into a file.

    Each seed is a point, and a line of the variant goes through their means.
    """
    figure = figure_class()(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for variant, each in results.items():
        columns = sorted((int(n), [100 * one["AP"] for one in seeds]) for n, seeds in each.items())
        numbers = [number for number, _ in columns]
        (line,) = axes.plot(numbers, [np.mean(column) for _, column in columns], label=variant)
        for number, column in columns:
            axes.plot([number] * len(column), column, "o", color=line.get_color(), alpha=0.6)
    axes.set(xscale="log", xlabel="training images", ylabel="AP %")
    shown = sorted({int(number) for each in results.values() for number in each})
    axes.set_xticks(shown, list(map(str, shown)))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
