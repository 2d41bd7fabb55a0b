"""The layouts of datasets: what each is recognised by, and the sections that read its splits."""

import itertools
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence

from detkit.data.layout_files import (
    ALL,
    LOOKED_AT,
    OF_ANNOTATIONS,
    OF_IMAGES,
    SPLITS,
    Sections,
    first_files,
    first_with_images,
    head_of,
    of_files,
    places_of_splits,
    split_of,
)
from detkit.data.names import is_file
from detkit.data.readers import csv_table, open_images
from detkit.data.readers.files import files_below, name_below, read_json, read_xml
from detkit.data.readers.lists import CLASS_FILE
from detkit.data.readers.tables import Aliases, has_columns, read_rows
from detkit.data.readers.voc import VOC_CLASSES
from detkit.data.readers.voc_xml import name_of
from detkit.data.readers.yolo import labels_of, read_settings, split_images
from detkit.errors import DataError

COCO_KEYS = ("images", "annotations", "categories")


class Layout(NamedTuple):
    """A layout: what it is recognised by, in words, and the function that finds its splits."""

    has: str
    look: Callable[[Path], Sections]  # raises DataError for a malformed file of this layout


def _voc(folder: Path) -> Sections:
    years = [year for year in (folder, *sorted(folder.glob("VOC20*"))) if _lists(year).is_dir()]
    listed = {
        split: [
            name_below(year / split, folder)
            for year in years
            if is_file(_lists(year) / f"{split}.txt")
        ]
        for split in ("trainval", *SPLITS)
    }
    every = listed.pop("trainval")
    if every and not listed["train"]:
        listed = {"train" if listed["test"] else ALL: every, "test": listed["test"]}
    section: Dict[str, Any] = {"type": "VOC", "root": str(folder)}
    names = _classes_of_xml(year / "Annotations" for year in years)
    if set(names) != set(VOC_CLASSES):
        section["class_names"] = names
    return {key: {**section, "splits": splits} for key, splits in listed.items() if splits}


def _voc_folder(folder: Path) -> Sections:
    sections: Sections = {}
    if _lists(folder).is_dir():
        return sections
    for split, place in places_of_splits(folder):
        apart = next((place / each for each in OF_ANNOTATIONS if _has_voc(place / each)), None)
        if _has_voc(place):
            sections[split] = {"type": "VOCFolder", "images": str(place)}
        elif apart is not None:
            images = first_with_images(place / each for each in OF_IMAGES) or place
            sections[split] = {
                "type": "VOCFolder",
                "images": str(images),
                "annotations": str(apart),
            }
    return sections


def _yolo(folder: Path) -> Sections:
    sections: Sections = {}
    settings = read_settings(folder)
    for split in (*SPLITS, None):
        try:
            images, _ = split_images(settings, split)
        except DataError:
            continue
        labelled = "names" in settings.values or any(
            labels_of(image, settings.folder) for image in images[:LOOKED_AT]
        )
        if labelled and (split or not sections):
            sections[split or ALL] = {"type": "YOLO", "root": str(folder), "split": split}
    return sections


def _coco(folder: Path) -> Sections:
    def first_image(file: Path) -> Optional[str]:
        """Returns the name of the first image of a file in COCO's format, else None."""
        if is_file(file.with_suffix(".rec")):
            return None  # the annotations of a record file
        head = head_of(file)
        if not head.lstrip().startswith(b"{") or b'"shapes"' in head:
            return None
        try:
            content = read_json(file)
        except DataError:
            if any(f'"{key}"'.encode() in head for key in COCO_KEYS):
                raise
            return None
        if not all(isinstance(content.get(key), list) for key in COCO_KEYS):
            return None
        first = content["images"][0] if content["images"] else {}
        return str(first.get("file_name", "")) if isinstance(first, dict) else ""

    return of_files(folder, (".json",), "COCO", first_image)


def _recordio(folder: Path) -> Sections:
    files = [folder] if folder.is_file() else first_files(folder, (".rec",))
    sections: Sections = {}
    for file in files:
        records = file.with_suffix(".rec")
        if is_file(records) and is_file(file.with_suffix(".json")):
            sections.setdefault(
                split_of(file.stem) or ALL, {"type": "RecordIO", "records": str(records)}
            )
    splits = [split for split in SPLITS if split in sections] or list(sections)
    return {split: sections[split] for split in splits}


def _labelme(folder: Path) -> Sections:
    return {
        split: {"type": "LabelMe", "root": str(place)}
        for split, place in places_of_splits(folder)
        if any(b'"shapes"' in head_of(file) for file in first_files(place, (".json",)))
    }


def _cvat(folder: Path) -> Sections:
    def first_image(file: Path) -> Optional[str]:
        """Returns the name of the first image of a file of CVAT, else None."""
        if b"<annotations" not in head_of(file):
            return None
        node = read_xml(file).find("image")
        return None if node is None else node.get("name", "")

    return of_files(folder, (".xml",), "CVAT", first_image)


def _label_studio(folder: Path) -> Sections:
    def first_image(file: Path) -> Optional[str]:
        """Returns "" for a list of tasks, whose images have names of the server, else None."""
        head = head_of(file)
        if not head.lstrip().startswith(b"["):
            return None
        try:
            tasks = read_json(file)
        except DataError:
            if b'"annotations"' in head and b'"data"' in head:
                raise
            return None
        is_task = tasks and isinstance(tasks[0], dict) and {"data", "annotations"} <= set(tasks[0])
        return "" if is_task else None

    return of_files(folder, (".json",), "LabelStudio", first_image)


def _open_images(folder: Path) -> Sections:
    def first_image(file: Path) -> Optional[str]:
        """Returns the name of the first image of a table of Open Images, else None."""
        image = _first_cell(file, open_images.COLUMNS, open_images.OPTIONAL)
        return image and f"{image}{open_images.SUFFIX}"

    sections = of_files(folder, (".csv",), "OpenImages", first_image)
    root = folder if folder.is_dir() else folder.parent
    tables = (path for path in files_below(root, (".csv",)) if "class-descriptions" in path.name)
    classes = next(tables, None) if sections else None
    extra = {} if classes is None else {"classes": str(classes)}
    return {split: {**section, **extra} for split, section in sections.items()}


def _csv(folder: Path) -> Sections:
    def first_image(file: Path) -> Optional[str]:
        """Returns the name of the first image of a table, else None."""
        return _first_cell(file, csv_table.COLUMNS, csv_table.OPTIONAL)

    return of_files(folder, (".csv",), "CSV", first_image)


def _json_lines(folder: Path) -> Sections:
    def first_image(file: Path) -> Optional[str]:
        """Returns "" for a file whose lines have objects, else None."""
        return "" if b'"objects"' in head_of(file) else None

    return of_files(folder, (".jsonl", ".ndjson"), "JSONLines", first_image)


def _imagenet(folder: Path) -> Sections:
    found = (path for path in files_below(folder, ("map_det.txt",)))
    synsets = next(found, folder / "map_det.txt") if (folder / "Annotations/DET").is_dir() else None
    section = {"type": "ImageNetDET", "root": str(folder), "synsets": str(synsets)}
    return {
        split: {**section, "split": split}
        for split in SPLITS
        if synsets and is_file(folder / "ImageSets/DET" / f"{split}.txt")
    }


def _with_classes(look: Callable[[Path], Sections]) -> Callable[[Path], Sections]:
    """Returns a function that takes the class names from classes.txt, if the folder has it."""

    def look_for_both(folder: Path) -> Sections:
        file, sections = folder / CLASS_FILE, look(folder)
        extra = {"class_names": str(file)} if is_file(file) else {}
        return {split: {**section, **extra} for split, section in sections.items()}

    return look_for_both


LAYOUTS: Dict[str, Layout] = {
    "voc": Layout("ImageSets/Main/*.txt", _with_classes(_voc)),
    "voc-folder": Layout(
        "*.xml with <annotation> beside the images or apart", _with_classes(_voc_folder)
    ),
    "coco": Layout("*.json with images, annotations and categories", _coco),
    "yolo": Layout("data.yaml with names, or a *.txt for each image", _yolo),
    "labelme": Layout("*.json with shapes", _with_classes(_labelme)),
    "cvat": Layout("*.xml with <annotations> and <image>", _cvat),
    "labelstudio": Layout("*.json that is a list of tasks", _label_studio),
    "openimages": Layout("*.csv with ImageID, LabelName, XMin", _open_images),
    "csv": Layout("*.csv with filename, class, xmin", _with_classes(_csv)),
    "jsonl": Layout("*.jsonl with image and objects", _json_lines),
    "recordio": Layout("*.rec with *.idx and *.json of the same name", _recordio),
    "imagenet": Layout("ImageSets/DET/*.txt and Annotations/DET", _imagenet),
}


def _first_cell(file: Path, columns: Aliases, optional: Sequence[str]) -> Optional[str]:
    """Returns the image of the first row; None for a table of other columns. Raises DataError."""
    if not has_columns(head_of(file), columns, optional):
        return None
    row = next(read_rows(file, columns, optional), None)
    return "" if row is None else row.cells["image"]


def _has_voc(folder: Path) -> bool:
    """Returns whether one of the first XML files in a folder is VOC's."""
    return any(b"<annotation>" in head_of(file) for file in first_files(folder, (".xml",)))


def _lists(folder: Path) -> Path:
    return folder / "ImageSets/Main"


def _classes_of_xml(folders: Iterable[Path]) -> List[str]:
    """Returns the class names in all XML files, sorted; those of malformed files are not known."""
    names = set()
    for file in itertools.chain.from_iterable(files_below(f, (".xml",)) for f in folders):
        try:
            names |= {name_of(node) for node in read_xml(file).iterfind("object")}
        except DataError:
            continue
    return sorted(names - {""})
