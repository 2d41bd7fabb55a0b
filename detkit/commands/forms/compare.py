"""Compares the forms of a detector: ``detkit benchmark --forms``."""

import argparse
import json
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import detkit
from detkit import processor
from detkit.commands.arguments.benchmark import MOST_LOSS
from detkit.commands.forms.candidates import Candidates, candidates
from detkit.commands.forms.judging import IOU, SCORE, Images, Judge, pictures
from detkit.commands.forms.measured import SLOW, Measured, Measurement
from detkit.commands.forms.verdict import Verdict, verdict, warnings
from detkit.errors import ConfigError, ExportError
from detkit.export.runtimes.choice import is_exported
from detkit.files.disk import make_folder, whole_file
from detkit.requirements import import_mxnet
from detkit.threads import allowed

COLUMNS = ("AP50 %", "AP %", "ms", f"{SLOW} % ms", "MB", "peak MB", "equal %")
WIDTH = 9  # of a column


def main(args: argparse.Namespace) -> None:
    """Finds or writes the forms, compares what they find, times them, says which to use."""
    with tempfile.TemporaryDirectory(prefix="detkit-forms-") as scratch:
        found, judge = forms_and_judge(args, scratch)
        for line in found.left_out:
            print(f"left out: {line}", file=sys.stderr)
        if judge and args.pictures:
            raise ConfigError(
                f"--pictures: expected none, because the images of data.{args.split} are compared, "
                f"found {args.pictures[0]!r}"
            )
        images = judge.images(scratch) if judge else pictures(args.pictures, scratch, args.count)
        measurement = Measurement(found.forms, args.device, args.threads)
        with measurement:
            measurement.compare(images, judge)
            timed = measurement.readable[: args.count]
            print(f"timing {len(timed)} images, one at a time, {args.rounds} rounds", flush=True)
            measurement.time(timed, args.rounds)
    rows = [row for row in measurement.rows if row.times and not row.failure]
    if not rows:
        raise ExportError(
            f"{args.config}: expected a form that detects and an image that can be decoded, found "
            f"{len(measurement.readable)} of {len(images.paths)} images; see above for the forms"
        )
    most_loss = MOST_LOSS if args.max_loss is None else args.max_loss
    chosen, notes = verdict(rows, most_loss), warnings(rows, most_loss)
    about = {
        "images": len(images.paths),
        "timed_images": len(timed),
        "rounds": args.rounds,
        "split": args.split if judge else None,
        "max_loss": most_loss,
    }
    print("\n" + "\n".join(table(rows, images, chosen, notes)))
    if args.json:
        write(args.json, {**about, **result(measurement.rows, chosen, notes)})


def forms_and_judge(args: argparse.Namespace, scratch: str) -> Tuple[Candidates, Optional[Judge]]:
    """Returns the forms, written into ``scratch`` if they are a run's, and what judges them.

    Raises the errors of ``candidates`` and ``write_forms``, and those of the config and its data.
    """
    exported = is_exported(args.config)
    if exported and args.judged_by is None:
        return candidates([args.config], args.runtime), None
    import_mxnet()  # or say what to install: a config names parts that need it
    from detkit.build import build_dataset, build_evaluator, open_config
    from detkit.loading import config_and_checkpoint

    own, checkpoint = ("", "") if exported else config_and_checkpoint(args.config)
    config = open_config(args.judged_by or own, args.overrides)
    dataset = build_dataset(config, args.split)
    judge = Judge(dataset, build_evaluator(config), args.split, args.limit)
    if exported:
        return candidates([args.config], args.runtime), judge
    from detkit.commands.forms.exporting import write_forms

    written = write_forms(open_config(own, args.overrides), checkpoint, scratch, args.calib)
    found = candidates(written.paths, args.runtime)
    return found._replace(left_out=[*written.left_out, *found.left_out]), judge


def table(rows: Sequence[Measured], images: Images, chosen: Verdict, notes: List[str]) -> List[str]:
    """Returns the lines on the forms."""
    width = max(len(row.title) for row in rows)
    lines = [
        f"{processor.describe()}; threads: {allowed()}",
        f"{len(images.paths)} images {images.what}",
        " " * width + "".join(f"{name:>{WIDTH}}" for name in COLUMNS),
    ]
    for row in rows:
        figures = [
            *(_percent(row.metrics.get(name)) for name in ("AP50", "AP")),
            *(f"{row.median:.1f}", f"{row.slow:.1f}", f"{row.form.size / 1e6:.1f}"),
            "-" if row.peak is None else f"{row.peak / 1e6:.0f}",
            _percent(row.equal),
        ]
        lines.append(f"{row.title:{width}}" + "".join(f"{text:>{WIDTH}}" for text in figures))
    skipped = max(row.skipped for row in rows)
    return [
        *lines,
        f"equal: label, IoU of at least {IOU:g}, scores within {SCORE:g} of {rows[0].title}",
        *([f"images that cannot be decoded: {skipped}"] if skipped else []),
        *(f"warning: {note}" for note in notes),
        f"recommended: {chosen.best.title}; {chosen.why}",
    ]


def result(rows: Sequence[Measured], chosen: Verdict, notes: List[str]) -> Dict[str, Any]:
    """Returns the values of ``--json``; the times are in milliseconds, sizes in bytes."""
    return {
        "detkit": detkit.__version__,
        "processor": processor.name(),
        "instructions": processor.level().name,
        "threads": allowed(),
        "equal_from": {"iou": IOU, "score": SCORE},
        "forms": [_values(row) for row in rows],
        "recommended": {"form": chosen.best.form.name, "runtime": chosen.best.form.runtime},
        "why": chosen.why,
        "warnings": notes,
    }


def write(path: str, content: Dict[str, Any]) -> None:
    """Writes values as JSON. Raises DataError if the file cannot be written."""
    make_folder(os.path.dirname(path) or ".")
    with whole_file(Path(path)) as part:
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written: {path}")


def _values(row: Measured) -> Dict[str, Any]:
    form, opened = row.form, row.opened
    values = {"form": form.name, "runtime": form.runtime, "precision": form.precision}
    if opened is not None:
        values.update(version=opened.version, device=opened.device)
    if row.failure:
        return {**values, "failure": row.failure}
    figures = {
        name: None if math.isnan(value) else value
        for name, value in row.metrics.items()
        if isinstance(value, float)
    }
    times = {"median": row.median, f"percentile_{SLOW}": row.slow}
    sizes = {"disk": form.size, "peak_memory": row.peak}
    return {**values, "metrics": figures, "ms": times, "bytes": sizes, "equal": row.equal}


def _percent(share: Optional[float]) -> str:
    return "-" if share is None or math.isnan(share) else f"{100 * share:.1f}"
