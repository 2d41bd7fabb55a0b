"""Writes Pascal VOC's layout: Annotations/*.xml, JPEGImages/ and ImageSets/Main/SPLIT.txt."""

from pathlib import Path, PurePosixPath
from typing import List, Mapping, Union
from xml.etree.ElementTree import Element, ElementTree, SubElement

from detkit.data.sample import Dataset, Faults
from detkit.data.writers.entries import Entry, Written, entries, new_folder, put_classes

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def write_voc(
    datasets: Mapping[str, Dataset], folder: Union[str, Path], images: str = "copy"
) -> Written:
    """Writes the splits {name: dataset} into a new folder.

    images: "copy", or "hardlink" or "symlink" to the files.

    Corners become 1-based and inclusive: x1 + 1, y1 + 1, x2, y2, which may be fractions. Crowds
    become difficult objects. Masks are not written. A box of at most one pixel in width or height
    is left out, because its corners would coincide.

    Raises DataError if the folder holds anything already or cannot be written, and for splits of
    different classes.
    """
    left_out: Faults = []
    lists: Mapping[str, List[str]] = {split: [] for split in datasets}
    objects = 0
    with new_folder(folder, images) as part:
        for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (part / name).mkdir(parents=True)
        for entry in entries(datasets, flat=True):
            root = annotation_of(entry, left_out)
            objects += len(root.findall("object"))
            file = part / "Annotations" / f"{entry.stem}.xml"
            ElementTree(root).write(str(file), encoding="utf-8")
            entry.put_image(part / "JPEGImages" / entry.name, images)
            lists[entry.split].append(entry.stem)
        for split, stems in lists.items():
            text = "".join(f"{stem}\n" for stem in stems)
            (part / "ImageSets/Main" / f"{split}.txt").write_text(text, encoding="utf-8")
        put_classes(part, datasets)
    return Written(sum(map(len, lists.values())), objects, left_out)


def annotation_of(entry: Entry, left_out: Faults) -> Element:
    """Returns the <annotation> of an image; what it cannot state is added to ``left_out``."""
    annotation = entry.annotation
    root = Element("annotation")
    _text(root, "folder", "JPEGImages")
    _text(root, "filename", PurePosixPath(entry.name).name)
    size = SubElement(root, "size")
    for side, pixels in (("width", annotation.width), ("height", annotation.height), ("depth", 3)):
        _text(size, side, pixels)
    things = zip(entry.boxes, entry.class_names, annotation.difficult)
    for (x1, y1, x2, y2), name, difficult in things:
        if x2 <= x1 + 1 or y2 <= y1 + 1:
            left_out.append((annotation.image_id, f'"{name}": a box of at most one pixel'))
            continue
        node = SubElement(root, "object")
        _text(node, "name", name)
        _text(node, "difficult", int(difficult))
        corners = SubElement(node, "bndbox")
        for tag, value in zip(CORNERS, (x1 + 1, y1 + 1, x2, y2)):
            _text(corners, tag, int(value) if value.is_integer() else value)
    return root


def _text(parent: Element, tag: str, value: object) -> None:
    SubElement(parent, tag).text = str(value)
