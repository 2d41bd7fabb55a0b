"""The readers of datasets on disk, one module for each format."""

from detkit.data.readers.coco import COCO
from detkit.data.readers.csv_table import CSV
from detkit.data.readers.cvat import CVAT
from detkit.data.readers.imagenet import ImageNetDET
from detkit.data.readers.json_lines import JSONLines
from detkit.data.readers.label_studio import LabelStudio
from detkit.data.readers.labelme import LabelMe
from detkit.data.readers.open_images import OpenImages
from detkit.data.readers.recordio import RecordIO
from detkit.data.readers.voc import VOC
from detkit.data.readers.voc_folder import VOCFolder
from detkit.data.readers.yolo import YOLO

__all__ = [
    "COCO",
    "CSV",
    "CVAT",
    "ImageNetDET",
    "JSONLines",
    "LabelMe",
    "LabelStudio",
    "OpenImages",
    "RecordIO",
    "VOC",
    "VOCFolder",
    "YOLO",
]
