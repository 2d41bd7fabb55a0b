"""The forms in which detections are saved, one class for each: what ``detkit predict`` writes."""

from pathlib import Path
from typing import Callable, Dict, Optional, Sequence

from detkit.predictions.saves.coco import CocoSave
from detkit.predictions.saves.csv_table import CsvSave
from detkit.predictions.saves.json_lines import JsonSave
from detkit.predictions.saves.layouts import LabelMeSave, VocSave, YoloSave
from detkit.predictions.saves.pictures import CropsSave, PicturesSave
from detkit.predictions.saves.result import LINKS, Result, Save, Target, own_folder
from detkit.predictions.saves.video import DrawnSave, VideoSave

SAVES: Dict[str, Callable[[Target], Save]] = {
    "pictures": PicturesSave,
    "video": VideoSave,
    "json": JsonSave,
    "coco": CocoSave,
    "yolo": YoloSave,
    "voc": VocSave,
    "labelme": LabelMeSave,
    "csv": CsvSave,
    "crops": CropsSave,
}
IN_FOLDERS = ("coco", "yolo", "voc", "labelme", "csv", "crops")  # each has a new folder of its name

DRAWN = "drawn"  # the form without a choice: pictures of images, and videos of all else


def open_saves(
    forms: Optional[Sequence[str]], out: Path, class_names: Sequence[str], images: str
) -> Dict[str, Save]:
    """Returns {form: its Save} below the folder ``out``.

    forms: of SAVES; None: DRAWN alone.
    images: one of LINKS, how the image files get into the folders of datasets.

    Raises DataError if the folder of a form holds anything already.
    """
    if forms is None:
        return {DRAWN: DrawnSave(Target(out, class_names, images))}
    for form in forms:
        if form in IN_FOLDERS:  # all are looked at before anything is written into one of them
            own_folder(out / form)
    return {
        form: SAVES[form](Target(out / form if form in IN_FOLDERS else out, class_names, images))
        for form in forms
    }


__all__ = ["DRAWN", "IN_FOLDERS", "LINKS", "SAVES", "Result", "Save", "Target", "open_saves"]
