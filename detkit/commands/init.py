"""Writes a config for a folder of the user's own data: ``detkit init``."""

import argparse
import os
import shlex
from pathlib import Path
from typing import List, Optional, Union

from detkit.commands.arguments.init import names_in
from detkit.commands.convert import SHOWN, refuse_within
from detkit.data.layout_files import ALL
from detkit.data.names import check_folder
from detkit.data.own_config import Given, this_machine, write_own
from detkit.data.own_data import OwnData, objects_of, read_own
from detkit.data.sample import Dataset, Faults
from detkit.errors import DataError
from detkit.wording import counted, first_few

MOST_CLASSES = 20  # in a line


def main(args: argparse.Namespace) -> None:
    """Reads, splits, writes, and prints the next commands."""
    folder, out = Path(args.folder).expanduser(), Path(args.out).expanduser()
    check_out(folder, out, args.force)
    classes = names_in(args.classes) if args.classes else None
    own = read_own(folder, args.layout, classes, args.seed)
    config = write_config(out, folder, own, args.seed, None)
    path = shlex.quote(str(config))
    run = shlex.quote(os.path.join("work_dirs", out.resolve().name))
    print(f"\nwritten:  {config}")
    print(f"train:    detkit train {path} --work-dir {run}")
    print("          (add --time 30m for half an hour, --dry-run for a check of one step)")
    print(f"test:     detkit test {run} --split test")
    print(f"predict:  detkit predict {run} IMAGE --out pictures")


def check_out(folder: Path, out: Path, force: bool) -> None:
    """Raises DataError if FOLDER is not there, or if DIR lies in it, is a file or has files."""
    if not folder.exists():
        check_folder(folder, "FOLDER")
    refuse_within(folder, out)
    if os.path.lexists(out) and not out.is_dir():
        raise DataError(f"--out: expected a folder, found a file at {out}; name another one")
    if out.is_dir() and any(out.iterdir()) and not force:
        raise DataError(
            f"--out: expected a new or an empty folder, found one with files at {out}; name "
            "another one, or add --force, which keeps them"
        )


def write_config(
    out: Path, folder: Union[str, Path], own: OwnData, seed: int, given: Optional[Given]
) -> Path:
    """Says what was read of a folder, writes a config and annotations, returns the config."""
    print("\n".join([f"{folder}: {own.source.layout} ({own.source.reason})", *report(own)]))
    return write_own(out, own, seed, this_machine(), given)


def report(own: OwnData) -> List[str]:
    """Returns lines on what was read, what could not be, and how it is split."""
    lines = []
    for split, dataset in own.datasets.items():
        lines += _contents("" if split == ALL else f"{split}: ", dataset)
        bad = [*dataset.bad_images, *own.undecoded[split]]
        lines += _faults(f"{counted(len(bad), 'image')} left out", bad)
        lines += _faults(f"{counted(len(dataset.dropped), 'object')} left out", dataset.dropped)
    lines.append("Split into:")
    for split, part in own.parts.items():
        counts = objects_of(part.dataset)[part.indices].sum(axis=0)
        numbers = counted(len(part.indices), "image"), counted(int(counts.sum()), "object")
        shared = [each for each in own.parts.values() if each.of == part.of]
        kept = ", the data's own" if len(shared) == 1 else f", from {part.of}" * (part.of != ALL)
        lines.append(f"  {split:5} {', '.join(numbers)}{kept}")
        absent = [name for name, n in zip(part.dataset.class_names, counts) if not n]
        if absent:
            lines.append(f"        warning: no object of {first_few(absent)}")
    return lines + [f"warning: {note}" for note in own.notes]


def _contents(name: str, dataset: Dataset) -> List[str]:
    """Returns a line with the images, objects and classes of a split of the source."""
    counts = objects_of(dataset).sum(axis=0)
    classes = [f"{each} {count}" for each, count in zip(dataset.class_names, counts)]
    numbers = counted(len(dataset), "image"), counted(int(counts.sum()), "object")
    return [f"{name}{', '.join(numbers)}: {first_few(classes, MOST_CLASSES)}"]


def _faults(head: str, faults: Faults) -> List[str]:
    """Returns a line, and the first of the faults; nothing without any."""
    if not faults:
        return []
    lines = [f"  {head}:", *(f"    {image_id}: {reason}" for image_id, reason in faults[:SHOWN])]
    return lines + [f"    and {len(faults) - SHOWN} more"] * (len(faults) > SHOWN)
