"""Writes YOLO's layout: data.yaml, images/SPLIT/ and labels/SPLIT/, a text file for each image."""

from pathlib import Path
from typing import Mapping, Sequence, Union

import yaml

from detkit.data.sample import Dataset, Faults
from detkit.data.writers.entries import Entry, Written, entries, new_folder, single_polygon


def write_yolo(
    datasets: Mapping[str, Dataset], folder: Union[str, Path], images: str = "copy"
) -> Written:
    """Writes the splits {name: dataset} into a new folder.

    images: "copy", or "hardlink" or "symlink" to the files.

    If every object has a mask, the lines are polygons, and otherwise boxes, because YOLO's programs
    take no mixture. A mask of several parts or with holes becomes one polygon with the same pixels.
    Difficult objects and crowds are left out, as the usual converters do.

    Raises DataError if the folder holds anything already or cannot be written, and for splits of
    different classes.
    """
    listed = list(entries(datasets))
    polygons = all(outline is not None for entry in listed for outline in entry.outlines)
    left_out: Faults = []
    objects = 0
    with new_folder(folder, images) as part:
        for entry in listed:
            lines = lines_of(entry, polygons, left_out)
            objects += len(lines)
            labels = part / "labels" / entry.split / f"{entry.stem}.txt"
            labels.parent.mkdir(parents=True, exist_ok=True)
            labels.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            entry.put_image(part / "images" / entry.split / entry.name, images)
        names = next(iter(datasets.values())).class_names
        settings = {**{split: f"images/{split}" for split in datasets}, "names": list(names)}
        text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
        (part / "data.yaml").write_text(text, encoding="utf-8")
    return Written(len(listed), objects, left_out)


def lines_of(entry: Entry, polygons: bool, left_out: Faults) -> Sequence[str]:
    """Returns the lines of an image; what they cannot state is added to ``left_out``.

    polygons: whether the objects with a mask are written as polygons.
    """
    annotation, lines = entry.annotation, []
    width, height = annotation.width, annotation.height
    for number, (x1, y1, x2, y2) in enumerate(entry.boxes):
        outline = entry.outlines[number]
        if annotation.difficult[number]:
            left_out.append((annotation.image_id, "a difficult object, which YOLO cannot state"))
            continue
        if polygons and outline is not None:
            values = single_polygon(outline, height, width)
            if not values:
                left_out.append((annotation.image_id, "a mask without a pixel"))
                continue
        else:
            values = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
        sides = (width, height) * (len(values) // 2)
        shares = (repr(value / side) for value, side in zip(values, sides))
        lines.append(f"{annotation.labels[number]} {' '.join(shares)}")
    return lines
