"""Checks a dataset: ``detkit data check``."""

import argparse
import collections
import json
import re
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

from detkit.commands.convert import refuse_within
from detkit.data.faults import KINDS, Fault, check, corrected, mended, place_of
from detkit.data.faults.fault import Splits
from detkit.data.layout_files import ALL, SPLITS
from detkit.data.recognise import read_source, recognise
from detkit.data.writers import IMAGES, WRITERS
from detkit.data.writers.entries import HasFiles
from detkit.errors import DataError, DetkitError
from detkit.files.disk import make_folder, whole_file
from detkit.requirements import import_mxnet
from detkit.wording import counted, first_few

SHOWN = 5  # faults of each kind
SHOWN_CLASSES = 20
FOUND, CANNOT_READ = 1, 2  # exit statuses
REPORT = "faults.json"
OF_CONFIG = re.compile(r"^(_base_|model|data)\s*:", re.MULTILINE)  # a data.yaml of YOLO has others


def main(args: argparse.Namespace) -> int:
    """Reads the dataset, lists its faults, writes what is asked for; returns the exit status."""
    try:
        return _check(args)
    except DetkitError as error:
        error.status = CANNOT_READ
        raise


def _check(args: argparse.Namespace) -> int:
    what, splits = _read(args)
    out = args.fix and Path(args.fix).expanduser()
    for dataset in splits.values() if out else ():
        if len(dataset) and isinstance(dataset, HasFiles):
            refuse_within(dataset.image_path(0), out)
    print(f"{args.source}: {what}")
    for split, dataset in splits.items():
        print(_line(split, dataset))
    if not args.quick:
        print(f"decoding {sum(map(len, splits.values()))} images", flush=True)
    faults = check(splits, args.quick)
    print("\n".join(_report(faults, splits)))
    if args.json:
        _write(Path(args.json).expanduser(), faults, splits)
    if out:
        copy = corrected(splits, faults)
        # A dataset without splits is one that one trains on.
        named = {"train" if split == ALL else split: dataset for split, dataset in copy.items()}
        written = WRITERS["coco"](named, out, args.images or IMAGES[0])
        _write(out / REPORT, faults, splits)
        print(f"\n{out}: coco, {written.images} images, {written.objects} objects")
        print("\n".join(_changes(faults)))
    return FOUND if faults else 0


def _read(args: argparse.Namespace) -> Tuple[str, Splits]:
    """Returns in words what the source is, and its splits."""
    source = Path(args.source).expanduser()
    if source.exists() and not _is_config(source):
        if args.fix:
            refuse_within(source, Path(args.fix).expanduser())
        found = recognise(source, args.layout)
        return f"{found.layout} ({found.reason})", read_source(found)
    if args.layout:
        raise DataError(f"--layout: expected a folder as SOURCE, found the config {args.source}")
    import_mxnet()
    from detkit.build.data import read_dataset
    from detkit.build.sections import open_config

    config = open_config(args.source)
    names = [name for name in SPLITS if config["data"].get(name)]
    return "a config", {name: read_dataset(config, name) for name in names}


def _is_config(source: Path) -> bool:
    if source.suffix not in (".yaml", ".yml") or not source.is_file():
        return False
    return OF_CONFIG.search(source.read_text(encoding="utf-8", errors="replace")) is not None


def _line(split: str, dataset: Any) -> str:
    objects = sum(len(dataset.annotation(index).labels) for index in range(len(dataset)))
    names = dataset.class_names
    return (
        f"{split:8} {len(dataset)} images, {objects} objects of {len(names)} classes: "
        f"{first_few(names, SHOWN_CLASSES)}"
    )


def _report(faults: Sequence[Fault], splits: Splits) -> List[str]:
    """Returns the lines on the faults: for each kind, how many there are and the first ones."""
    kinds = _by_kind(faults)
    if not faults:
        return ["no faults"]
    lines = [f"{counted(len(faults), 'fault')} of {counted(len(kinds), 'kind')}", ""]
    for kind, found in kinds.items():
        counts = {split: sum(split in fault.splits for fault in found) for split in splits}
        each = ", ".join(f"{split} {count}" for split, count in counts.items() if count)
        lines.append(f"{KINDS[kind].title}: {len(found)} ({each})")
        lines += [f"  {fault.where}: {fault.what}" for fault in found[:SHOWN]]
        lines += [f"  and {len(found) - SHOWN} more (--json FILE lists all)"] * (len(found) > SHOWN)
    return lines


def _by_kind(faults: Sequence[Fault]) -> Dict[str, List[Fault]]:
    kinds: Dict[str, List[Fault]] = {}
    for fault in faults:
        kinds.setdefault(fault.kind, []).append(fault)
    return kinds


def _write(file: Path, faults: Sequence[Fault], splits: Splits) -> None:
    """Writes the list of the faults for programs. Raises DataError."""
    rows = [
        {
            "kind": fault.kind,
            "splits": list(fault.splits),
            "where": fault.where,
            "what": fault.what,
            "mended": mended(fault) or None,
            "images": [
                {"split": split, "image": place_of(splits[split], index)}
                for split, index in fault.images
            ],
        }
        for fault in faults
    ]
    make_folder(file.parent)
    with whole_file(file) as part:
        part.write_text(json.dumps({"faults": rows}, indent=1), encoding="utf-8")


def _changes(faults: Sequence[Fault]) -> List[str]:
    """Returns the lines on what the corrected copy changed and left."""
    counts = collections.Counter((fault.kind, mended(fault)) for fault in faults)
    changed = [
        f"  {KINDS[kind].title}: {count}; {what}" for (kind, what), count in counts.items() if what
    ]
    left = [f"  {KINDS[kind].title}: {n}" for (kind, what), n in counts.items() if not what]
    lines = ["changed:", *changed] if changed else ["changed: nothing"]
    return [*lines, "left, because a person has to decide:", *left] if left else lines
