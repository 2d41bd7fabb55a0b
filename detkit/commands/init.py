"""Writes a config for a folder of the user's own data: ``detkit init``."""

import argparse
import os
import shlex
from pathlib import Path
from typing import List, Optional

from detkit.commands.arguments.init import names_in
from detkit.commands.convert import reasons, refuse_within
from detkit.data.names import check_folder
from detkit.data.own_config import Given, this_machine, write_own
from detkit.data.own_data import OwnData, objects_of, read_own
from detkit.errors import DataError


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
    print(f"predict:  detkit predict {path} {run}/checkpoints/best IMAGE --out pictures")


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


def write_config(out: Path, folder: Path, own: OwnData, seed: int, given: Optional[Given]) -> Path:
    """Says what was read of a folder, writes a config and annotations, returns the config."""
    print("\n".join([f"{folder}: {own.source.layout} ({own.source.reason})", *report(own)]))
    return write_own(out, own, seed, this_machine(), given)


def report(own: OwnData) -> List[str]:
    """Returns lines on what was read, what could not be, and how it is split."""
    lines = []
    for split, dataset in own.datasets.items():
        objects = objects_of(dataset)
        counts = ", ".join(
            f"{name} {count}" for name, count in zip(dataset.class_names, objects.sum(axis=0))
        )
        lines.append(f"{split}: {len(dataset)} images, {objects.sum()} objects: {counts}")
        bad = [*dataset.bad_images, *own.undecoded[split]]
        lines += reasons("images that cannot be used", bad)
        lines += reasons("objects that were dropped", dataset.dropped)
    lines.append("split:")
    for split, part in own.parts.items():
        objects = objects_of(part.dataset)[part.indices]
        kept = ", as in the data" if part.of == split and len(own.parts) > 1 else ""
        lines.append(f"  {split:5} {len(part.indices)} images, {objects.sum()} objects{kept}")
        absent = [name for name, n in zip(part.dataset.class_names, objects.sum(axis=0)) if not n]
        if absent:
            lines.append(f"        warning: no object of {', '.join(absent)}")
    return lines + [f"warning: {note}" for note in own.notes]
