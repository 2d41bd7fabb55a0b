"""The layouts with a file for each image: YOLO's, VOC's and LabelMe's. None of them has scores."""

import json
import logging
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import tostring

import yaml

from detkit.data.sample import Faults
from detkit.data.writers.entries import CLASS_FILE
from detkit.data.writers.labelme import content_of
from detkit.data.writers.voc import annotation_of
from detkit.data.writers.yolo import lines_of
from detkit.predictions.saves.growing import GrowingFile, write_whole
from detkit.predictions.saves.result import SPLIT, Result, Target, own_folder
from detkit.wording import counted

log = logging.getLogger(__name__)


class YoloSave:
    """The folder of a dataset in YOLO's layout: data.yaml, images/train/ and labels/train/.

    The lines are polygons if the detector has masks, and boxes otherwise.
    """

    def __init__(self, target: Target) -> None:
        self._folder, self._images = own_folder(target.folder), target.images
        settings = {SPLIT: f"images/{SPLIT}", "names": list(target.class_names)}
        text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
        write_whole(self._folder / "data.yaml", text)
        self._left_out = 0

    def add(self, result: Result) -> None:
        """Writes the lines of a frame."""
        entry = result.entry()
        left_out: Faults = []
        lines = lines_of(entry, result.usable.has_masks, left_out)
        self._left_out += len(left_out)
        file = self._folder / "labels" / SPLIT / f"{entry.stem}.txt"
        write_whole(file, "".join(f"{line}\n" for line in lines))
        result.put_image(self._folder / "images" / SPLIT / entry.name, self._images)

    def close(self) -> None:
        """Says what could not be stated."""
        _tell(self._left_out, "yolo: a mask without a pixel")


class VocSave:
    """The folder of a dataset in VOC's layout: Annotations/, JPEGImages/ and ImageSets/Main/.

    A box of at most one pixel in width or height cannot be stated, and masks are not written.
    """

    def __init__(self, target: Target) -> None:
        self._folder, self._images = own_folder(target.folder), target.images
        self._list = GrowingFile(self._folder / f"ImageSets/Main/{SPLIT}.txt")
        _put_classes(target)
        self._left_out = 0

    def add(self, result: Result) -> None:
        """Writes the XML of a frame."""
        entry = result.entry(_flat(result, self._folder / "Annotations", ".xml"))
        left_out: Faults = []
        root = annotation_of(entry, left_out)
        self._left_out += len(left_out)
        file = self._folder / "Annotations" / f"{entry.stem}.xml"
        write_whole(file, tostring(root, encoding="unicode"))
        result.put_image(self._folder / "JPEGImages" / entry.name, self._images)
        self._list.write(f"{entry.stem}\n")

    def close(self) -> None:
        """Completes the list of the images, and says what could not be stated."""
        self._list.close()
        _tell(self._left_out, "voc: a box of at most one pixel")


class LabelMeSave:
    """The folder of images with a JSON file of LabelMe's beside each, in train/.

    split: the folder in the target's folder; "" for none.
    """

    def __init__(self, target: Target, split: str = SPLIT) -> None:
        self._folder, self._images = own_folder(target.folder) / split, target.images
        _put_classes(target)

    def add(self, result: Result) -> None:
        """Writes the JSON file of a frame."""
        entry = result.entry(_flat(result, self._folder, ".json"))
        file = self._folder / f"{entry.stem}.json"
        write_whole(file, json.dumps(content_of(entry), ensure_ascii=False))
        result.put_image(self._folder / entry.name, self._images)

    def close(self) -> None:
        """Does nothing: each file is complete."""


def _flat(result: Result, folder: Path, suffix: str) -> str:
    """Returns a file name without folders for the image of a frame.

    It has a number if another image has the name: that of clip.mp4's frame may be clip_000001.jpg.

    folder, suffix: of the annotations.
    """
    path, number = PurePosixPath(result.file_name.replace("/", "_")), 1
    stem = path.stem
    while (folder / f"{stem}{suffix}").exists():
        number += 1
        stem = f"{path.stem}-{number}"
    return stem + path.suffix


def _put_classes(target: Target) -> None:
    """Writes classes.txt, because the layout names classes only where there are objects of them."""
    text = "".join(f"{name}\n" for name in target.class_names)
    write_whole(target.folder / CLASS_FILE, text)


def _tell(count: int, reason: str) -> None:
    if count:
        log.warning("%s cannot be stated: %s", counted(count, "detection"), reason)
