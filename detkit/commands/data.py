"""Checks a dataset: ``detkit data check``."""

import argparse
import json
import re
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

from detkit.commands.convert import refuse_within
from detkit.data.faults import KINDS, Fault, check, corrected
from detkit.data.faults.fault import Splits
from detkit.data.recognise import read_source, recognise
from detkit.data.writers import WRITERS
from detkit.errors import DataError, DetkitError
from detkit.requirements import import_mxnet
from detkit.wording import first_few

SHOWN = 5  # faults of each kind
SHOWN_CLASSES = 20
FOUND, CANNOT_READ = 1, 2  # exit statuses
REPORT = "faults.json"
OF_CONFIG = re.compile(r"^(_base_|model|data)\s*:", re.MULTILINE)  # a data.yaml of YOLO has others


def main(args: argparse.Namespace) -> int:
    """Reads the dataset, lists its faults, writes what is asked for; returns the exit status."""
    source = Path(args.source).expanduser()
    try:
        what, splits = _read(source, args)
    except DetkitError as error:
        error.status = CANNOT_READ
        raise
    print(f"{source}: {what}")
    for split, dataset in splits.items():
        print(_line(split, dataset))
    if not args.quick:
        print(f"decoding {sum(map(len, splits.values()))} images", flush=True)
    faults = check(splits, args.quick)
    print("\n".join(_report(faults, splits)))
    if args.json:
        _write(Path(args.json).expanduser(), faults)
    if args.fix:
        print("\n".join(_fix(Path(args.fix).expanduser(), splits, faults, args.images)))
    return FOUND if faults else 0


def _read(source: Path, args: argparse.Namespace) -> Tuple[str, Splits]:
    """Returns in words what the source is, and its splits."""
    if source.exists() and not _is_config(source):
        if args.fix:
            refuse_within(source, Path(args.fix).expanduser())
        found = recognise(source, args.layout)
        return f"{found.layout} ({found.reason})", read_source(found)
    import_mxnet()
    from detkit.build.data import read_dataset
    from detkit.build.sections import open_config

    config = open_config(args.source)
    names = [name for name in ("train", "val", "test") if name in config["data"]]
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
    lines = [f"{len(faults)} faults of {len(kinds)} kinds", ""]
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


def _write(file: Path, faults: Sequence[Fault]) -> None:
    """Writes the list of the faults for programs. Raises DataError."""
    rows = [
        {
            "kind": fault.kind,
            "splits": list(fault.splits),
            "where": fault.where,
            "what": fault.what,
            "mended": KINDS[fault.kind].mended or None,
        }
        for fault in faults
    ]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"faults": rows}, indent=1), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{file}: cannot be written: {error.strerror}") from error


def _fix(out: Path, splits: Splits, faults: Sequence[Fault], images: str) -> List[str]:
    """Writes the corrected copy; returns the lines on what it changed and left."""
    written = WRITERS["coco"](corrected(splits, faults), out, images)
    _write(out / REPORT, faults)
    kinds = _by_kind(faults)
    mended = [
        f"  {KINDS[kind].title}: {len(found)}; {KINDS[kind].mended}"
        for kind, found in kinds.items()
        if KINDS[kind].mended
    ]
    left = [
        f"  {KINDS[kind].title}: {len(found)}"
        for kind, found in kinds.items()
        if not KINDS[kind].mended
    ]
    return [
        "",
        f"{out}: coco, {written.images} images, {written.objects} objects",
        "changed:" if mended else "changed: nothing",
        *mended,
        *(["left, because a person has to decide:"] if left else []),
        *left,
    ]
