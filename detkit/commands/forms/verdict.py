"""The form that is recommended, by a rule, and warnings about the others."""

from typing import List, NamedTuple, Optional, Sequence

from detkit import processor
from detkit.commands.forms.judging import JUDGES
from detkit.commands.forms.measured import Measured
from detkit.export.manifest import FLOAT32, INT8
from detkit.export.runtimes.names import MXNET

LEAST_EQUAL = 0.95  # of the detections, if there are no annotations to judge them by
LONGER = 1.02  # the least ratio of two times that is said


class Verdict(NamedTuple):
    """The form that is recommended, and why."""

    best: Measured
    why: str


def verdict(rows: Sequence[Measured], most_loss: float) -> Verdict:
    """Returns the fastest form, by its median, that detects as well as float32.

    rows: the forms that were timed, at least one, those in float32 first.
    most_loss: how far the AP of a form may be below that of the first one, in [0, 1].

    Without annotations, LEAST_EQUAL of a form's detections must be equal to those of float32. So
    must they if float32 has no more AP than a form may lose: no AP would then be too low.
    """
    first = rows[0]
    judged = _is_judged_by_ap(first, most_loss)
    allowed = [row for row in rows if _is_as_good(row, first, most_loss)]
    best = min(allowed or rows, key=lambda row: row.median)
    if judged:
        name = next(name for name in JUDGES if name in first.metrics)
        rule = f"whose {name} is at most {100 * most_loss:g} points below that of {first.title}"
    else:
        rule = f"of which {LEAST_EQUAL:.0%} of the detections are equal to those of {first.title}"
    count = f"{len(allowed)} of {len(rows)} forms"
    return Verdict(best, f"the fastest, {best.median:.1f} ms an image, of the {count} {rule}")


def warnings(rows: Sequence[Measured], most_loss: float) -> List[str]:
    """Returns a line about each form in INT8 that loses time or AP, and about this processor.

    rows: as for ``verdict``.
    """
    lines: List[str] = []
    eights = [row for row in rows if row.form.precision == INT8]
    if eights and not processor.has_vnni():
        lines.append(
            f"{processor.describe()}, has no VNNI: INT8 saves less time than on a processor that "
            "has it, or none"
        )
    for row in eights:
        lines += _about(row, _in_float32(row, rows), rows[0], most_loss)
    best, used = processor.levels()[-1], processor.level()
    if best != used and any(row.form.runtime != MXNET for row in rows):
        lines.append(
            f"{used.title} limits MXNet and detkit's operators alone; the other runtimes use "
            f"{best.title}"
        )
    return lines


def _about(row: Measured, same: Optional[Measured], first: Measured, most_loss: float) -> List[str]:
    """Returns lines about a form in INT8; same: the form in float32 of its runtime."""
    lines = []
    if same is not None and row.median > LONGER * same.median:
        ratio = row.median / same.median
        lines.append(f"{row.title} takes {ratio:.2f} times as long as {same.title}")
    if row.ap is not None and first.ap is not None and first.ap - row.ap > most_loss:
        points = 100 * (first.ap - row.ap)
        lines.append(f"{row.title} loses {points:.1f} points of AP against {first.title}")
    return lines


def _in_float32(row: Measured, rows: Sequence[Measured]) -> Optional[Measured]:
    same = (each for each in rows if each.form.precision == FLOAT32)
    return next((each for each in same if each.form.runtime == row.form.runtime), None)


def _is_judged_by_ap(first: Measured, most_loss: float) -> bool:
    # Without objects, an AP is nan.
    return first.ap is not None and first.ap > most_loss


def _is_as_good(row: Measured, first: Measured, most_loss: float) -> bool:
    if row is first:
        return True
    if row.ap is not None and first.ap is not None and _is_judged_by_ap(first, most_loss):
        return row.ap >= first.ap - most_loss
    return row.equal is not None and row.equal >= LEAST_EQUAL
