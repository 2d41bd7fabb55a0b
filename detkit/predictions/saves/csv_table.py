"""A table of boxes with a column of scores, which grows frame by frame."""

import csv
import io
from typing import List

from detkit.data.writers.csv_table import HEADER, rows_of
from detkit.data.writers.entries import CLASS_FILE
from detkit.predictions.saves.growing import GrowingFile, write_whole
from detkit.predictions.saves.result import SPLIT, Result, Target, own_folder

COLUMNS = (*HEADER[:-1], "score")  # detections are never difficult


class CsvSave:
    """The folder of a table: train.csv with a row for each detection, and images/train/.

    The columns are those of detkit convert --to csv, with the score instead of ``difficult``. A
    frame without detections has a row without class, corners and score.
    """

    def __init__(self, target: Target) -> None:
        self._folder, self._images = own_folder(target.folder), target.images
        self._file = GrowingFile(self._folder / f"{SPLIT}.csv")
        self._write([list(COLUMNS)])
        names = "".join(f"{name}\n" for name in target.class_names)
        write_whole(self._folder / CLASS_FILE, names)

    def add(self, result: Result) -> None:
        """Adds the rows of a frame."""
        self._write(scored_rows(result))
        name = result.file_name
        result.put_image(self._folder / "images" / SPLIT / name, self._images)

    def close(self) -> None:
        """Completes the table."""
        self._file.close()

    def _write(self, rows: List[List[object]]) -> None:
        self._file.write(as_text(rows))


def scored_rows(result: Result) -> List[List[object]]:
    """Returns the rows of a frame, with the columns of COLUMNS."""
    scores: List[object] = [float(str(score)) for score in result.usable.scores] or [""]
    return [[*row[:-1], score] for row, score in zip(rows_of(result.entry()), scores)]


def as_text(rows: List[List[object]]) -> str:
    """Returns rows as lines of a table."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
