"""Converts a dataset into another layout: ``detkit convert``."""

import argparse
import collections
from pathlib import Path
from typing import Dict, Sequence

from detkit.data.layout_files import ALL
from detkit.data.recognise import read_source, recognise
from detkit.data.sample import Dataset, Faults
from detkit.data.writers import WRITERS
from detkit.errors import DataError

SHOWN = 5  # reasons of each kind


def main(args: argparse.Namespace) -> None:
    """Recognises, reads, writes, and says what was left out."""
    source, out = Path(args.source).expanduser(), Path(args.out).expanduser()
    refuse_within(source, out)
    found = recognise(source, args.layout)
    print(f"{source}: {found.layout} ({found.reason})")
    datasets = read_source(found)
    for split, dataset in datasets.items():
        print("\n".join(report(split, dataset)))
    # A dataset without splits is one that one trains on.
    named = {"train" if split == ALL else split: dataset for split, dataset in datasets.items()}
    written = WRITERS[args.to](named, out, args.images)
    print(f"{out}: {args.to}, {written.images} images, {written.objects} objects")
    for line in reasons("objects that it cannot state", written.left_out):
        print(line)


def refuse_within(source: Path, out: Path, flag: str = "--out") -> None:
    """Raises DataError, with the flag, if the new folder would be the source or within it."""
    folder = (source if source.is_dir() else source.parent).resolve()
    if folder == out.resolve() or folder in out.resolve().parents:
        raise DataError(f"{flag}: expected a folder outside of {folder}, found {out}")


def report(split: str, dataset: Dataset) -> Sequence[str]:
    """Returns the lines on what was read of a split, and what was not."""
    annotations = [dataset.annotation(index) for index in range(len(dataset))]
    objects = sum(len(annotation.labels) for annotation in annotations)
    head = (
        f"{split}: {len(dataset)} images, {objects} objects of {len(dataset.class_names)} classes"
    )
    return [
        head,
        *reasons("bad images", dataset.bad_images),
        *reasons("dropped objects", dataset.dropped),
    ]


def reasons(what: str, faults: Faults) -> Sequence[str]:
    """Returns the number of faults, the images with most of them, and the first reasons."""
    if not faults:
        return []
    counts: Dict[object, int] = collections.Counter(image_id for image_id, _ in faults)
    lines = [f"  {len(faults)} {what} in {len(counts)} images:"]
    lines += [f"    {image_id}: {reason}" for image_id, reason in faults[:SHOWN]]
    return lines + [f"    and {len(faults) - SHOWN} more"] * (len(faults) > SHOWN)
