"""Converts a dataset into another layout. The layout of SOURCE is recognised.

The folder DIR is written under another name first: it is complete or absent. SOURCE and its images
are never changed.
"""

import argparse
import collections
import sys
from pathlib import Path
from typing import Dict, Optional, Sequence

from detkit.cli import debug_argument, run
from detkit.data.layout_files import ALL
from detkit.data.layouts import LAYOUTS
from detkit.data.recognise import read_source, recognise
from detkit.data.sample import Dataset, Faults
from detkit.data.writers import IMAGES, WRITERS
from detkit.errors import DataError

SHOWN = 5  # reasons of each kind


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Recognises, reads, writes, and says what was left out."""
    args = parsed(argv)
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


def parsed(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Returns the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", metavar="SOURCE", help="a folder, or its file of annotations")
    parser.add_argument("--to", choices=tuple(WRITERS), required=True, help="the new layout")
    parser.add_argument("--out", metavar="DIR", required=True, help="a new or an empty folder")
    parser.add_argument(
        "--from",
        dest="layout",
        choices=tuple(LAYOUTS),
        help="the layout of SOURCE, if it has files of several",
    )
    parser.add_argument(
        "--images",
        choices=IMAGES,
        default=IMAGES[0],
        help="whether the files of images are copied (the default) or linked",
    )
    debug_argument(parser)
    return parser.parse_args(argv)


def refuse_within(source: Path, out: Path) -> None:
    """Raises DataError if the new folder would be the source or within it."""
    folder = (source if source.is_dir() else source.parent).resolve()
    if folder == out.resolve() or folder in out.resolve().parents:
        raise DataError(f"--out: expected a folder outside of {folder}, found {out}")


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


if __name__ == "__main__":
    sys.exit(run(main))
