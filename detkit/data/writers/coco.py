"""Writes COCO's layout: annotations/instances_SPLIT.json and images/SPLIT/ (Lin et al. 2014)."""

import json
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Union

import numpy as np

from detkit import segmentations
from detkit.data.keypoints import FIELD, Keypoints
from detkit.data.sample import Dataset, HasFields
from detkit.data.writers.entries import (
    Entry,
    HasFiles,
    Written,
    entries,
    entry_of,
    new_folder,
)
from detkit.detections.results import category_ids
from detkit.files.disk import whole_file
from detkit.keypoints import to_coco
from detkit.segmentations import Segmentation


def write_coco(
    datasets: Mapping[str, Dataset], folder: Union[str, Path], images: str = "copy"
) -> Written:
    """Writes the splits {name: dataset} into a new folder.

    images: "copy", or "hardlink" or "symlink" to the files.

    Category ids are the dataset's or label + 1. Image ids are the dataset's if they are numbers,
    and otherwise the images' numbers from 1 on. Difficult objects become crowds. Polygons stay
    polygons, and other masks become compressed run lengths. Keypoints are written if the dataset
    has some.

    Raises DataError if the folder holds anything already or cannot be written, and for splits of
    different classes.
    """
    contents: Dict[str, Dict[str, List[Any]]] = {}
    numbered = {split: is_numbered(dataset) for split, dataset in datasets.items()}
    with new_folder(folder, images) as part:
        for entry in entries(datasets):
            if entry.split not in contents:
                contents[entry.split] = empty_content(entry.dataset)
            add_entry(contents[entry.split], entry, id_of(entry, numbered[entry.split]))
            entry.put_image(part / "images" / entry.split / entry.name, images)
        (part / "annotations").mkdir(exist_ok=True)
        for split, content in contents.items():
            text = json.dumps(content, ensure_ascii=False)
            file = part / "annotations" / f"instances_{split}.json"
            file.write_text(text, encoding="utf-8")
    counts = [[len(content[key]) for content in contents.values()] for key in CONTENT[:2]]
    return Written(sum(counts[0]), sum(counts[1]), [])


def annotations_of(dataset: Dataset, indices: Sequence[int], folder: Path) -> Dict[str, List[Any]]:
    """Returns the content of a file in COCO's format for some images, which stay where they are.

    dataset: a dataset of image files, all below ``folder``, the ``images`` of the reader. See
    write_coco for the ids and the objects.
    """
    content, numbered = empty_content(dataset), is_numbered(dataset)
    assert isinstance(dataset, HasFiles)
    for index in indices:
        name = Path(os.path.relpath(dataset.image_path(index), folder)).as_posix()
        entry = entry_of(dataset, "", index, name)
        add_entry(content, entry, id_of(entry, numbered))
    return content


def write_truth(dataset: Dataset, path: Path) -> None:
    """Writes the objects of a dataset in COCO's format, with the ids of its files of results.

    An image keeps the id that the dataset has for it, also a text. Raises DataError.
    """
    content = empty_content(dataset)
    for index in range(len(dataset)):
        image_id = dataset.annotation(index).image_id
        name = dataset.image_path(index).name if isinstance(dataset, HasFiles) else str(image_id)
        add_entry(content, entry_of(dataset, "", index, name), image_id)
    with whole_file(path) as part:
        part.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


CONTENT = ("images", "annotations", "categories")


def empty_content(dataset: Dataset) -> Dict[str, List[Any]]:
    """Returns the three lists of COCO's format, with the categories of a dataset alone."""
    pairs = zip(category_ids(dataset), dataset.class_names)
    categories: List[Dict[str, Any]] = [{"id": int(each), "name": name} for each, name in pairs]
    keypoints = getattr(dataset, "keypoint_names", ())
    for category in categories if keypoints else ():
        category.update(keypoints=list(keypoints), skeleton=[])
    return dict(zip(CONTENT, ([], [], categories)))


def add_entry(content: Dict[str, List[Any]], entry: Entry, image_id: Union[int, str]) -> None:
    """Adds an image, under an id, and its objects."""
    annotation = entry.annotation
    image = {"id": image_id, "file_name": entry.name}
    content["images"].append({**image, "width": annotation.width, "height": annotation.height})
    ids, points = category_ids(entry.dataset), _points(entry)
    for number, (box, outline) in enumerate(zip(entry.boxes, entry.outlines)):
        x1, y1, x2, y2 = box
        thing: Dict[str, Any] = {
            "id": len(content["annotations"]) + 1,
            "image_id": image_id,
            "category_id": int(ids[annotation.labels[number]]),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": _area(entry, number, box),
            "iscrowd": int(annotation.difficult[number]),
            "segmentation": [] if outline is None else _plain(outline),
        }
        content["annotations"].append({**thing, **(next(points) if points else {})})


def id_of(entry: Entry, numbered: bool) -> int:
    """Returns the id of an image, or its number from 1 on if not all ids are numbers."""
    return int(entry.annotation.image_id) if numbered else entry.number + 1


def is_numbered(dataset: Dataset) -> bool:
    """Returns whether the ids of all images are numbers, which COCO's format then keeps."""
    ids = (dataset.annotation(index).image_id for index in range(len(dataset)))
    return all(isinstance(each, (int, np.integer)) for each in ids)


def _area(entry: Entry, number: int, box: Sequence[float]) -> float:
    """Returns the area that the dataset knows, or else that of the mask, or else the box's."""
    annotation, outline = entry.annotation, entry.outlines[number]
    if annotation.areas is not None:
        return float(annotation.areas[number])
    if outline is not None:
        return segmentations.area_of(outline, annotation.height, annotation.width)
    x1, y1, x2, y2 = box
    return (x2 - x1) * (y2 - y1)


def _plain(outline: Segmentation) -> Any:
    if isinstance(outline, list):
        return [polygon.tolist() for polygon in outline]
    return {"size": list(outline["size"]), "counts": outline["counts"].decode("ascii")}


def _points(entry: Entry) -> Optional[Iterator[Dict[str, Any]]]:
    """Returns an iterator over the keys of each object's keypoints; None without keypoints."""
    dataset = entry.dataset
    if not getattr(dataset, "keypoint_names", ()) or not isinstance(dataset, HasFields):
        return None
    keypoints = dataset.field(FIELD, entry.number)
    assert isinstance(keypoints, Keypoints)
    return iter([_of_points(points) for points in keypoints.points])


def _of_points(points: np.ndarray) -> Dict[str, Any]:
    labelled = points[:, 2] > 0
    values = np.reshape(to_coco(points), (-1, 3)) * labelled[:, None]
    return {"keypoints": values.ravel().tolist(), "num_keypoints": int(labelled.sum())}
