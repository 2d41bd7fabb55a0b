"""The writers of datasets, one function for each format."""

from typing import Callable, Dict

from detkit.data.writers.coco import write_coco
from detkit.data.writers.entries import IMAGES, Written
from detkit.data.writers.yolo import write_yolo

WRITERS: Dict[str, Callable[..., Written]] = {"coco": write_coco, "yolo": write_yolo}

__all__ = ["IMAGES", "WRITERS", "Written", "write_coco", "write_yolo"]
