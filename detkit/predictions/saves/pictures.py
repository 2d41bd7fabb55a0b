"""Drawn images, and the pieces of images that detections cut out."""

import re
from collections import Counter
from typing import Dict

import numpy as np

from detkit.detections.draw import save_image
from detkit.errors import DataError
from detkit.predictions.saves.csv_table import COLUMNS, as_text, scored_rows
from detkit.predictions.saves.growing import GrowingFile
from detkit.predictions.saves.result import Result, Target, own_folder, put_jpeg

UNSAFE = re.compile(r"[\0-\x1f<>:\"|?*\\/]")  # characters that the name of a folder should not have


class PicturesSave:
    """The drawn frames: NAME.png of an image, and NAME/000012.jpg of a frame of a video."""

    def __init__(self, target: Target) -> None:
        self._folder = target.folder

    def add(self, result: Result) -> None:
        """Writes a drawn frame."""
        target = self._folder / self.name_of(result)
        if result.frame.number is None:
            save_image(target, result.drawn)
        else:
            put_jpeg(target, result.drawn)

    def close(self) -> None:
        """Does nothing: each file is complete."""

    @staticmethod
    def name_of(result: Result) -> str:
        """Returns the name of a drawn frame, below the folder."""
        return result.frame.name + (".png" if result.frame.number is None else ".jpg")


class CropsSave:
    """The pixels of each box, CLASS/NAME-1.png, and crops.csv, which says where they are from.

    A crop has all pixels that its box touches. crops.csv has the columns of the form ``csv`` and
    ``crop``, the file. A file of the original images' folder has the name ``filename``.
    """

    def __init__(self, target: Target) -> None:
        self._folder = own_folder(target.folder)
        self._table = GrowingFile(self._folder / "crops.csv")
        self._table.write(as_text([[*COLUMNS, "crop"]]))
        names = [UNSAFE.sub("_", name).strip(". ") or "class" for name in target.class_names]
        again = Counter(name.lower() for name in names)
        self._folders: Dict[int, str] = {
            label: f"{name}-{label}" if again[name.lower()] > 1 else name
            for label, name in enumerate(names)
        }

    def add(self, result: Result) -> None:
        """Writes the crops of a frame."""
        rows = zip(result.usable, scored_rows(result))
        for number, (one, row) in enumerate(rows, 1):
            name = f"{self._folders[one.label]}/{result.frame.name}-{number}.png"
            file = self._folder / name
            left, top = np.floor(one.box[:2]).astype(int)
            right, bottom = np.ceil(one.box[2:]).astype(int)
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DataError(f"{file}: cannot be written: {error.strerror}") from error
            save_image(file, result.frame.image[top:bottom, left:right])
            self._table.write(as_text([[*row, name]]))

    def close(self) -> None:
        """Completes the table."""
        self._table.close()
