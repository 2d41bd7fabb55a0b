"""The tables of tools/lineage.py, in Markdown."""

from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from detkit.evaluate.recall import ALL, SIZES
from trainings.records import spread

from .judge import LIMITS

Results = Mapping[str, Sequence[Mapping[str, Any]]]  # {title: the result of each seed}


def tables(results: Results) -> str:
    """Returns the table of the systems and that of the recall of their proposals.

    Several seeds are shown as their mean and their sample deviation.
    """
    return "\n".join([*systems_table(results), "", *recall_table(results)]) + "\n"


def systems_table(results: Results) -> List[str]:
    """Returns the lines of the table of AP, time and proposals."""
    rows = [
        "| system | proposals | AP | AP50 | minutes | ms an image |",
        "|---|---|---|---|---|---|",
    ]
    for title, seeds in results.items():
        cells = [spread([100 * seed[name] for seed in seeds]) for name in ("AP", "AP50")]
        minutes = spread([seed["minutes"] for seed in seeds])
        first = seeds[0]
        more = f" + {first['proposal_ms']:.0f}" if first["proposal_ms"] else ""
        cells += [minutes, spread([seed["ms"] for seed in seeds], digits=0) + more]
        rows.append(f"| {title} | {first['proposals']} | {' | '.join(cells)} |")
    return rows


def recall_table(results: Results) -> List[str]:
    """Returns the lines of the table of recall at IoU 0.5, by the size of the objects."""
    limits = " / ".join(map(str, LIMITS))
    sizes = (ALL, *SIZES)
    heads = (f"{size}, best {limits}" if size == ALL else size for size in sizes)
    rows = [f"| recall at IoU 0.5 % | {' | '.join(heads)} |", "|---" * (1 + len(sizes)) + "|"]
    for title, seeds in results.items():
        known = [seed["recall"] for seed in seeds if seed.get("recall")]
        if known:
            rows.append(f"| {title} | {' | '.join(_recalls(known, size) for size in sizes)} |")
    return rows


def _recalls(seeds: Sequence[Dict[str, List[Optional[float]]]], size: str) -> str:
    """Returns the mean recall of the seeds for each limit, "–" without objects of a size."""
    columns = zip(*(seed[size] for seed in seeds))
    return " / ".join(
        "–" if None in column else f"{100 * np.mean(column):.1f}" for column in columns
    )
