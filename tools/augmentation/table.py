"""The tables of tools/augmentation.py and tools/few_images.py, in Markdown."""

from typing import Any, List, Mapping, Sequence

from trainings.records import spread

Seeds = Sequence[Mapping[str, Any]]  # the result of each seed

HEADS = {"AP": "AP", "AP50": "AP50", "mask_AP": "mask AP"}


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the table of {name: {base, images, config, without, with}}; the two are Seeds.

    A metric has a number for each seed, and the differences of the seeds have their mean and
    sample deviation. The minutes are those of the processor, so that other work does not count.
    """
    lines = [f"| transform | data, images | config | {' | '.join(_heads())} | CPU minutes |"]
    lines.append("|---" * (4 + 3 * len(HEADS)) + "|")
    for name, row in rows.items():
        cells: List[str] = []
        for metric in HEADS:
            cells += _compared(row["without"], row["with"], metric)
        minutes = spread([seed["minutes"] for seed in (*row["without"], *row["with"])])
        data = f"{row['base']}, {row['images']}"
        lines.append(f"| {name} | {data} | {row['config']} | {' | '.join(cells)} | {minutes} |")
    return "\n".join(lines) + "\n"


def _heads() -> List[str]:
    kinds = "without", "with", "difference"
    return [f"{head} {kind}" for head in HEADS.values() for kind in kinds]


def _compared(without: Seeds, with_it: Seeds, metric: str) -> List[str]:
    """Returns the cells of a metric; dashes for a detector without masks."""
    if metric not in without[0]:
        return ["–"] * 3
    pairs = [(one[metric], other[metric]) for one, other in zip(without, with_it)]
    differences = [100 * (after - before) for before, after in pairs]
    return [*(values(column) for column in zip(*pairs)), spread(differences, sign="+")]


def values(shares: Sequence[float]) -> str:
    """Returns the percentages of all seeds."""
    return ", ".join(f"{100 * share:.1f}" for share in shares)


def images_table(results: Mapping[str, Mapping[str, Seeds]], metric: str) -> str:
    """Returns the table of {variant: {images: Seeds}} for a metric."""
    numbers = list(dict.fromkeys(number for each in results.values() for number in each))
    lines = [f"| {HEADS[metric]} | {' | '.join(f'{number} images' for number in numbers)} |"]
    lines.append("|---" * (1 + len(numbers)) + "|")
    for variant, each in results.items():
        cells = [
            values([seed[metric] for seed in each[number]]) if number in each else "–"
            for number in numbers
        ]
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
