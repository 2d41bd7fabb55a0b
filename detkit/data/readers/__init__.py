"""The readers of datasets on disk, one module for each format."""

from detkit.data.readers.coco import COCO
from detkit.data.readers.voc import VOC
from detkit.data.readers.yolo import YOLO

__all__ = ["COCO", "VOC", "YOLO"]
