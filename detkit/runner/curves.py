"""The picture of a run: losses, learning rate and metrics over the steps, drawn from its log."""

import logging
import os
from pathlib import Path
from typing import Dict, List, Mapping, Sequence, Tuple

import cv2
import numpy as np

from detkit.files.disk import whole_file
from detkit.files.run_log import LOG, MEASURES, Series, read_series, thinned
from detkit.runner.chart import COLOURS, Line, draw_panel
from detkit.runner.hooks import Hook
from detkit.runner.loop import Runner

CURVES = "curves.png"
PANEL = (420, 720)  # height and width in pixels
POINTS = 200  # of a line; a longer one is all noise
MOST_METRICS = 6
PREFERRED = ("AP", "AP50")

logger = logging.getLogger(__name__)


class CurvesHook(Hook):
    """The hook that draws ``curves.png`` after each evaluation and at the end of a run.

    The picture is made from log.jsonl, and therefore shows a resumed run from its first step on.
    If it cannot be drawn, a warning says so once, and the training goes on.
    """

    def __init__(self, work_dir: str):
        self._work_dir = work_dir
        self._drawn = -1  # the bytes of the log that the picture shows
        self._warned = False

    def evaluate(self, run: Runner) -> None:
        """Draws the picture, unless the log has no new record."""
        try:
            size = os.path.getsize(os.path.join(self._work_dir, LOG))
            if size != self._drawn:
                write_curves(self._work_dir)
            self._drawn = size
        except Exception as error:
            if not self._warned:
                self._warned = True
                logger.warning("%s: cannot be drawn, the training goes on: %s", CURVES, error)

    def finish(self, run: Runner) -> None:
        """Does the same as after an evaluation."""
        self.evaluate(run)


def write_curves(work_dir: str) -> bool:
    """Writes the curves of a run's log; returns whether there is a training to draw.

    Raises OSError or DataError if the log cannot be read or the picture cannot be written.
    """
    series = read_series(Path(work_dir, LOG))
    if not any(name.startswith("train/") for name in series):
        return False
    _, data = cv2.imencode(".png", cv2.cvtColor(draw_curves(series), cv2.COLOR_RGB2BGR))
    with whole_file(Path(work_dir, CURVES)) as part:
        part.write_bytes(data.tobytes())
    return True


def draw_curves(series: Mapping[str, Series]) -> np.ndarray:
    """Returns a picture (H, W, 3) uint8 RGB of four panels: loss, its parts, lr and metrics.

    series: by the names of ``detkit.files.run_log.numbers_of``. Long series are thinned.
    """
    short = {name: thinned(each, POINTS) for name, each in series.items()}
    last = max(each.steps[-1] for each in series.values())
    loss = [("training", "train/loss", False), ("validation", "val/loss", True)]
    parts = _parts(short)
    panels = (
        ("loss", _lines(short, loss), ""),
        (_title_of_parts(short), _lines(short, parts), "the loss has no parts"),
        ("learning rate", _lines(short, [("", "train/lr", False)]), ""),
        ("metrics on data.val", _lines(short, _metrics(short)), "no evaluation yet"),
    )
    drawn = [draw_panel(title, lines, PANEL, last, empty) for title, lines, empty in panels]
    return np.vstack([np.hstack(drawn[:2]), np.hstack(drawn[2:])])


Chosen = Sequence[Tuple[str, str, bool]]  # the name in the legend, that of the series, dashed


def _lines(series: Mapping[str, Series], chosen: Chosen) -> List[Line]:
    """Returns the lines of the chosen series that are there; one name has one colour."""
    colours: Dict[str, int] = {}
    lines = []
    for shown, name, dashed in chosen:
        if name in series:
            index = colours.setdefault(name.partition("/")[2], len(colours))
            if name == "val/loss":  # beside the training's, it is to be seen at once
                index += 1
            lines.append(Line(shown, *series[name], COLOURS[index % len(COLOURS)], dashed))
    return lines


def _parts(series: Mapping[str, Series]) -> Chosen:
    """Returns the parts of the loss; those of the validation are dashed, without a name."""
    names = [n for n in series if n.startswith("train/") and n not in (*MEASURES, "train/loss")]
    shown = [name.partition("/")[2] for name in names]
    return [
        *((each, name, False) for each, name in zip(shown, names)),
        *(("", f"val/{each}", True) for each in shown),
    ]


def _title_of_parts(series: Mapping[str, Series]) -> str:
    has_val = any(name.startswith("val/") for name in series)
    return "parts of the loss" + ", validation dashed" * has_val


def _metrics(series: Mapping[str, Series]) -> Chosen:
    """Returns AP and AP50 of boxes, masks and keypoints, or the first metrics of an evaluator."""
    names = [name for name in series if name.startswith("metrics/")]
    main = [name for name in names if name.partition("/")[2].split("_")[-1] in PREFERRED]
    return [(name.partition("/")[2], name, False) for name in (main or names)[:MOST_METRICS]]
