"""annotations.xml in the format "CVAT for images 1.1", which grows image by image.

The format is that of docs.cvat.ai, "CVAT for image".
"""

import os
import re
from pathlib import Path
from typing import Dict, Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np

from detkit.predictions.saves.growing import GrowingFile
from detkit.predictions.saves.result import Result, Target
from detkit.segmentations import THRESHOLD

FILE = "annotations.xml"
ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")  # characters that XML cannot state


class CvatSave:
    """The boxes, or the masks, of images that are uploaded to CVAT under their names.

    root: the folder of the images, below which their names begin.

    CVAT's format has no place for scores. Its ``source`` of each shape is "auto".
    """

    def __init__(self, target: Target, root: Path) -> None:
        self._file, self._root = GrowingFile(target.folder / FILE), root
        self._file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n')
        self._file.write("<version>1.1</version>\n")
        self._element(_meta(target.class_names))

    def add(self, result: Result) -> None:
        """Writes an <image>."""
        entry = result.entry()
        size = {"width": str(result.width), "height": str(result.height)}
        name = os.path.relpath(result.frame.source.path, self._root)
        node = Element("image", {"id": str(result.index), "name": _legal(name), **size})
        found = result.usable
        for row, (label, corners) in enumerate(zip(entry.class_names, entry.boxes)):
            shape: Dict[str, str] = {}
            if found.has_masks:
                shape = mask_of(found.mask(row) >= THRESHOLD)
            kind = "mask" if shape else "box"
            shape = shape or dict(zip(("xtl", "ytl", "xbr", "ybr"), map(str, corners)))
            common = {"label": _legal(label), "source": "auto", "occluded": "0"}
            SubElement(node, kind, {**common, **shape, "z_order": "0"})
        self._element(node)

    def close(self) -> None:
        """Completes the file."""
        self._file.write("</annotations>\n")
        self._file.close()

    def _element(self, node: Element) -> None:
        self._file.write(tostring(node, encoding="unicode") + "\n")


def mask_of(mask: np.ndarray) -> Dict[str, str]:
    """Returns the attributes of a mask (H, W) bool; {} for one without a pixel.

    They are the rectangle around it, and the runs of 0 and 1 by turns along its rows.
    """
    down, across = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(down):
        return {}
    top, left = int(down[0]), int(across[0])
    pixels = mask[top : down[-1] + 1, left : across[-1] + 1]
    height, width = pixels.shape
    flat = np.concatenate([[False], pixels.ravel()])  # the first run is one of 0
    borders = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff(np.concatenate([[0], borders, [height * width]]))
    texts = {"left": left, "top": top, "width": width, "height": height}
    return {"rle": ", ".join(map(str, runs)), **{key: str(value) for key, value in texts.items()}}


def _meta(class_names: Sequence[str]) -> Element:
    meta = Element("meta")
    labels = SubElement(SubElement(meta, "task"), "labels")
    for name in class_names:
        label = SubElement(labels, "label")
        SubElement(label, "name").text = _legal(name)
        SubElement(label, "attributes")
    return meta


def _legal(text: str) -> str:
    return ILLEGAL.sub("?", text)
