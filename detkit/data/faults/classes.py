"""Faults of classes: names that are nearly the same, and classes without objects."""

import re
from typing import Dict, Iterator, List

import numpy as np

from detkit.data.faults.fault import Fault, Splits

SEPARATORS = re.compile(r"[\s_-]+")


def similar_classes(splits: Splits) -> Iterator[Fault]:
    """Yields a fault for each group of names that differ in case and separators alone."""
    counts = objects_of(splits)
    for names in similar_names(list(counts)):
        found = ", ".join(f"{name!r} ({sum(counts[name].values())} objects)" for name in names)
        yield Fault("similar-classes", tuple(splits), "class_names", f"{found}")


def missing_classes(splits: Splits) -> Iterator[Fault]:
    """Yields a fault for each class that no split, or only some splits, have objects of."""
    for name, counts in objects_of(splits).items():
        lacking = tuple(split for split in splits if not counts[split])
        found = ", ".join(f"{count} in {split}" for split, count in counts.items())
        if len(lacking) == len(splits):
            yield Fault("unused-class", lacking, "class_names", f"{name!r} has no object")
        elif lacking:
            yield Fault("one-sided-class", lacking, "class_names", f"{name!r} has {found}")


def objects_of(splits: Splits) -> Dict[str, Dict[str, int]]:
    """Returns {class: {split: number of objects}} of every class that a split names."""
    counts: Dict[str, Dict[str, int]] = {}
    for split, dataset in splits.items():
        labels = [dataset.annotation(index).labels for index in range(len(dataset))]
        found = np.bincount(
            np.concatenate([*labels, np.zeros(0, int)]).astype(int),
            minlength=len(dataset.class_names),
        )
        for name, count in zip(dataset.class_names, found.tolist()):
            counts.setdefault(name, dict.fromkeys(splits, 0))[split] = count
    return counts


def similar_names(names: List[str]) -> List[List[str]]:
    """Returns the groups of several names that differ in case and separators alone."""
    groups: Dict[str, List[str]] = {}
    for name in names:
        groups.setdefault(SEPARATORS.sub("", name).casefold(), []).append(name)
    return [group for group in groups.values() if len(group) > 1]
