"""Writes LabelMe's layout: SPLIT/ with the images, and a JSON file beside each of them."""

import json
from pathlib import Path, PurePosixPath
from typing import Any, Dict, Iterator, List, Mapping, Union

from detkit.data.sample import Dataset
from detkit.data.writers.entries import (
    Entry,
    Written,
    entries,
    new_folder,
    put_classes,
    single_polygon,
)

VERSION = "5.0.1"  # of LabelMe, whose format this is


def write_labelme(
    datasets: Mapping[str, Dataset], folder: Union[str, Path], images: str = "copy"
) -> Written:
    """Writes the splits {name: dataset} into a new folder.

    images: "copy", or "hardlink" or "symlink" to the files.

    An object with a mask becomes a polygon, or polygons of one ``group_id``, and one without a mask
    a rectangle. Run lengths become one polygon with the same pixels. Difficult objects and crowds
    have ``flags: {difficult: true}``.

    Raises DataError if the folder holds anything already or cannot be written, and for splits of
    different classes.
    """
    count = objects = 0
    with new_folder(folder, images) as part:
        for split in datasets:
            (part / split).mkdir()
        for entry in entries(datasets):
            entry.put_image(part / entry.split / entry.name, images)
            file = part / entry.split / f"{entry.stem}.json"
            file.write_text(json.dumps(content_of(entry), ensure_ascii=False), encoding="utf-8")
            count, objects = count + 1, objects + len(entry.annotation.labels)
        put_classes(part, datasets)
    return Written(count, objects, [])


def content_of(entry: Entry) -> Dict[str, Any]:
    """Returns the content of the JSON file of an image, which lies beside the image."""
    return {
        "version": VERSION,
        "flags": {},
        "shapes": list(_shapes(entry)),
        "imagePath": PurePosixPath(entry.name).name,
        "imageData": None,
        "imageHeight": entry.annotation.height,
        "imageWidth": entry.annotation.width,
    }


def _shapes(entry: Entry) -> Iterator[Dict[str, Any]]:
    """Yields the shapes of an image."""
    annotation = entry.annotation
    for number, (x1, y1, x2, y2) in enumerate(entry.boxes):
        outline, kind = entry.outlines[number], "polygon"
        if outline is None:
            kind, parts = "rectangle", [[x1, y1, x2, y2]]
        elif isinstance(outline, list):
            parts = [polygon.tolist() for polygon in outline]
        else:
            parts = [single_polygon(outline, annotation.height, annotation.width)]
        for part in parts:
            yield {
                "label": entry.class_names[number],
                "points": _pairs(part),
                "group_id": number if len(parts) > 1 else None,
                "shape_type": kind,
                "flags": {"difficult": True} if annotation.difficult[number] else {},
            }


def _pairs(flat: List[float]) -> List[List[float]]:
    return [list(pair) for pair in zip(flat[::2], flat[1::2])]
