"""The writers of datasets, one function for each format."""

from typing import Callable, Dict

from detkit.data.writers.coco import write_coco
from detkit.data.writers.csv_table import write_csv
from detkit.data.writers.entries import IMAGES, Written
from detkit.data.writers.labelme import write_labelme
from detkit.data.writers.recordio import write_recordio
from detkit.data.writers.voc import write_voc
from detkit.data.writers.yolo import write_yolo

WRITERS: Dict[str, Callable[..., Written]] = {
    "coco": write_coco,
    "yolo": write_yolo,
    "voc": write_voc,
    "labelme": write_labelme,
    "csv": write_csv,
    "recordio": write_recordio,
}

__all__ = [
    "IMAGES",
    "WRITERS",
    "Written",
    "write_coco",
    "write_csv",
    "write_labelme",
    "write_recordio",
    "write_voc",
    "write_yolo",
]
