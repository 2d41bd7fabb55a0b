"""Figures -> tables, a picture."""

import numpy as np
from processes import BenchmarkError

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
    "rest",
    "total",
]


def row(spec, taken, clock, peak, share, about):
    """The figures of a side, for the table and the JSON file."""
    chosen = taken[clock]
    return {
        "precision": spec.precision,
        "median": float(np.median(chosen)),
        "fastest": min(chosen),
        **taken,
        "peak": peak,
        "matched": share,
        "about": about,
    }


def best_of_ours(sides):
    """{precision: median of detkit's fastest form in it}."""
    best = {}
    for name, side in sides.items():
        if name.startswith(OURS):
            precision = side["precision"]
            best[precision] = min(side["median"], best.get(precision, np.inf))
    return best


def heading(figures):
    """One line about what was measured."""
    height, width = figures["size"]
    what = "a training step" if figures["training"] else "detecting"
    return (
        f"{figures['model']}, {what}, {height}x{width}, batch {figures['batch']}, "
        f"{figures['threads']} threads, {figures['clock']} time"
    )


def versions(*abouts):
    """What sides say about themselves, {name: version} of each, for people."""
    return ", ".join({f"{name} {about[name]}": None for about in abouts for name in about})


def table(figures):
    """What ran, then the sides beside each other; ratios say how many times as long as detkit's
    fastest."""
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


def stage_table(stages):
    """Milliseconds of each stage, a column for each side."""
    lines = [f"{'ms':16}" + "".join(f"{name:>24}" for name in stages)]
    for stage in STAGES:
        if any(stage in each for each in stages.values()):
            cells = [each.get(stage) for each in stages.values()]
            text = "".join(f"{'-' if s is None else format(1e3 * s, '.1f'):>24}" for s in cells)
            lines.append(f"{stage:16}{text}")
    return "\n".join(lines)


def floor_table(floors):
    """Billions of multiply-adds a second of a large convolution alone."""
    lines = ["floor: a 3x3 convolution, 256 channels, 150x200, 10^9 multiply-adds a second"]
    for name, rates in floors.items():
        lines += [f"{name:24}{precision:>8}{r / 1e9:10.1f}" for precision, r in rates.items()]
    return "\n".join(lines)


def pyplot():
    """Matplotlib, drawing into files. Raises BenchmarkError without it."""
    try:
        import matplotlib
    except ImportError as error:
        raise BenchmarkError(
            f"--plot needs Matplotlib ({error}): pip install 'detkit[plot]'"
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def plot(all_figures, path):
    """A picture: bars for each detector, or lines where several sizes or batches were measured."""
    plt = pyplot()
    groups = {}
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


def _bars(axis, measured):
    (figures,) = measured
    sides = figures["sides"]
    colours = ["tab:blue" if name.startswith(OURS) else "tab:grey" for name in sides]
    axis.barh(list(sides), [side["median"] for side in sides.values()], color=colours)
    axis.invert_yaxis()
    axis.set(xlabel="seconds, median", title=heading(figures))


def _lines(axis, measured):
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
