"""Measures what each transform is worth: AP with and without it, trained on few images.

Each transform has one row, on the data on which it should help most, and so has each preset of
data.augment. A training is made once: the tool goes on where it was interrupted. After each row it
writes augmentation.json and augmentation.md into --out, with the rows that were there.
"""

import argparse
import signal
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import detkit  # noqa: F401 - before MXNet
from augmentation.bases import BASES
from augmentation.rows import ROWS, change_of, sides_of
from augmentation.table import table
from augmentation.trainings import Training, Trainings, add_options, plan
from detkit.cli import debug_argument, positive, run
from trainings.records import read_json, write_json, write_text


def wanted_by(name: str, args: argparse.Namespace) -> Dict[str, List[Training]]:
    """Returns the trainings of a row, {"without": one for each seed, "with": the same}."""
    base = ROWS[name].base
    images = args.images or BASES[base].images
    return {
        side: [Training(base, images, variant, seed) for seed in range(args.seeds)]
        for side, variant in sides_of(name).items()
    }


def row_of(name: str, args: argparse.Namespace) -> Dict[str, Any]:
    """Makes the trainings of a row; returns what they are trained on, and their results."""
    made, trainings = Trainings(args), wanted_by(name, args)
    base = ROWS[name].base
    return {
        "base": base,
        "images": trainings["with"][0].images,
        "config": BASES[base].config,
        "change": ROWS[name].change._asdict(),
        **{
            side: [made.result(each, change_of(each.variant)) for each in of_side]
            for side, of_side in trainings.items()
        },
    }


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Makes the trainings, writes the table, prints it."""
    args = parsed(argv)
    if args.dry_run:
        of_rows = [wanted_by(name, args).values() for name in args.only]
        wanted = [each for sides in of_rows for side in sides for each in side]
        print(plan(Trainings(args), wanted, args.steps))
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the time of an attempt is kept
    record = Path(args.out) / "augmentation.json"
    for name in args.only:
        found = {**(read_json(record) or {}), name: row_of(name, args)}
        rows = {each: found[each] for each in ROWS if each in found}
        write_json(record, rows)
        write_text(record.with_suffix(".md"), table(rows))
    print(record.with_suffix(".md").read_text(encoding="utf-8"))


def parsed(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Returns the arguments, checked."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument(
        "--only",
        metavar="ROW",
        nargs="+",
        default=list(ROWS),
        help=f"some of {', '.join(ROWS)}; default: all, in this order",
    )
    default = ", ".join(f"{BASES[row.base].images} of {row.base}" for row in distinct_bases())
    parser.add_argument(
        "--images", type=positive, help=f"the number of training images; default: {default}"
    )
    debug_argument(parser)
    args = parser.parse_args(argv)
    for name in args.only:
        if name not in ROWS:
            parser.error(f"--only: expected some of {', '.join(ROWS)}, found {name!r}")
    return args


def distinct_bases() -> List[Any]:
    """Returns the first row of each base."""
    return list({row.base: row for row in reversed(list(ROWS.values()))}.values())


if __name__ == "__main__":
    sys.exit(run(main))
