"""Writes a table of boxes for each split: SPLIT.csv, and images/SPLIT/."""

import csv
from pathlib import Path
from typing import Dict, List, Mapping, Union

from detkit.data.sample import Dataset
from detkit.data.writers.entries import Entry, Written, entries, new_folder, put_classes

HEADER = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax", "difficult")


def write_csv(
    datasets: Mapping[str, Dataset], folder: Union[str, Path], images: str = "copy"
) -> Written:
    """Writes the splits {name: dataset} into a new folder.

    images: "copy", or "hardlink" or "symlink" to the files.

    A row has the columns filename, width, height, class, xmin, ymin, xmax, ymax and difficult, in
    pixels, continuous and 0-based. An image without objects has a row without class and corners.
    Masks are not written.

    Raises DataError if the folder holds anything already or cannot be written, and for splits of
    different classes.
    """
    rows: Dict[str, List[List[object]]] = {split: [] for split in datasets}
    count = objects = 0
    with new_folder(folder, images) as part:
        for entry in entries(datasets):
            rows[entry.split] += rows_of(entry)
            entry.put_image(part / "images" / entry.split / entry.name, images)
            count, objects = count + 1, objects + len(entry.annotation.labels)
        for split, of_split in rows.items():
            with open(part / f"{split}.csv", "w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([HEADER, *of_split])
        put_classes(part, datasets)
    return Written(count, objects, [])


def rows_of(entry: Entry) -> List[List[object]]:
    """Returns the rows of an image, with the columns of HEADER."""
    annotation = entry.annotation
    image: List[object] = [entry.name, annotation.width, annotation.height]
    things = zip(entry.class_names, entry.boxes, annotation.difficult)
    rows = [[*image, name, *box, int(difficult)] for name, box, difficult in things]
    return rows or [image + [""] * (len(HEADER) - len(image))]
