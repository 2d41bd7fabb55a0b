"""Detections as a file in COCO's results format and back."""

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

import numpy as np

from detkit.detections import Detections
from detkit.detections.of_dataset import no_detections, paired
from detkit.detections.proposal_files import is_proposal_file, read_proposals, save_proposals
from detkit.errors import DataError
from detkit.files.disk import whole_file
from detkit.segmentations import parse_segmentation

LIMIT = 1e37  # what is larger may not fit a float32 once it is added up
KEYS = ("image_id", "category_id", "bbox", "score")
MASK = "segmentation"


def category_ids(dataset) -> Tuple[int, ...]:
    """The category id of each label: the dataset's `category_ids`, or else label + 1."""
    own = getattr(dataset, "category_ids", None)
    return tuple(own) if own is not None else tuple(range(1, len(dataset.class_names) + 1))


def save_results(path: Union[str, Path], detections: Mapping[Any, Detections], dataset) -> None:
    """Write COCO's results: a list of {image_id, category_id, bbox [x, y, w, h], score}.

    Masks are written as ``segmentation``, a compressed RLE. Named .npz it is a file of proposals
    instead, see `save_proposals`.
    The file is complete or not there at all. Raises DataError where it cannot be written, and for
    detections that do not fit the dataset.
    """
    path = Path(path)
    if is_proposal_file(path):
        save_proposals(path, detections, dataset)
        return
    ids = category_ids(dataset)
    entries = []
    for annotation, found in paired(dataset, dict(detections)):
        boxes = found.boxes.astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        rows = zip(boxes.tolist(), found.scores.tolist(), found.labels)
        for index, (box, score, label) in enumerate(rows):
            values = (_plain(annotation.image_id), _plain(ids[label]), box, score)
            entry = dict(zip(KEYS, values))
            if found.has_masks:
                rle = found.rle(index)
                entry[MASK] = {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")}
            entries.append(entry)
    with whole_file(path) as part:
        part.write_text(json.dumps(entries), encoding="utf-8")


def load_results(path: Union[str, Path], dataset) -> Dict[Any, Detections]:
    """Read COCO's results, for every image of the dataset, best first.

    Masks are read if every entry has one. Of a file of proposals (.npz), those of the images that
    it has, with label 0. Raises DataError, with the file and the entry's index,
    for what is not as `save_results` writes it; further keys of an entry are passed over.
    """
    path = Path(path)
    names = tuple(dataset.class_names)
    if is_proposal_file(path):
        found = read_proposals(path, dataset)
        return {image_id: _of_one_class(*proposed, names) for image_id, proposed in found.items()}
    entries = _read_json(path)
    if not isinstance(entries, list):
        raise DataError(f"{path}: expected a list of results, found {type(entries).__name__}")
    labels = {category: label for label, category in enumerate(category_ids(dataset))}
    annotations = (dataset.annotation(index) for index in range(len(dataset)))
    rows: Dict[Any, List] = {annotation.image_id: [] for annotation in annotations}
    has_masks = bool(entries) and all(isinstance(e, dict) and e.get(MASK) for e in entries)
    for index, entry in enumerate(entries):
        try:
            image_id, row = _parse(entry, rows, labels)
            rows[image_id].append((*row, _parse_mask(entry[MASK]) if has_masks else None))
        except DataError as error:
            raise DataError(f"{path}: entry {index}: {error}") from error
    for image_id, found in rows.items():
        sizes = {tuple(mask["size"]) for *_, mask in found if mask is not None}
        if len(sizes) > 1:
            raise DataError(f"{path}: the masks of {image_id!r} have the sizes {sorted(sizes)}")
    return {image_id: _detections(found, names) for image_id, found in rows.items()}


def _read_json(path: Path) -> Any:
    def refuse(constant: str):
        raise DataError(f"{path}: holds {constant}, which is neither a number nor JSON")

    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except OSError as error:
        raise DataError(f"{path}: results cannot be read: {error.strerror}") from error
    # Text that is not UTF-8, and JSON that is not JSON or nested too deep.
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a JSON file: {error}") from error


def _parse(entry: Any, images: Mapping[Any, Any], labels: Mapping[int, int]):
    """(image_id, (box, score, label)) of one entry."""
    if not isinstance(entry, dict):
        raise DataError(f"expected an object with {', '.join(KEYS)}, found {type(entry).__name__}")
    missing = [key for key in KEYS if key not in entry]
    if missing:
        raise DataError(f"lacks {', '.join(missing)}; it has {', '.join(map(repr, entry))}")
    image_id, category, box, score = (entry[key] for key in KEYS)
    if type(image_id) not in (int, str) or image_id not in images:
        raise DataError(f"image_id {image_id!r} is not in the dataset{_like(image_id, images)}")
    if type(category) is not int or category not in labels:
        raise DataError(f"category_id {category!r} is not one of {_short(labels)}")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise DataError(f"bbox is {box!r}, expected four finite numbers x, y, width, height")
    x, y, width, height = box
    if width < 0 or height < 0:
        raise DataError(f"bbox is {box!r}: its width or height is negative")
    if not _is_number(score):
        raise DataError(f"score is {score!r}, expected a finite number")
    return image_id, ((x, y, x + width, y + height), score, labels[category])


def _parse_mask(value: Any):
    """The checked RLE of an entry."""
    size = value.get("size") if isinstance(value, dict) else None
    if not isinstance(size, list) or len(size) != 2 or not all(map(_is_side, size)):
        raise DataError(f"{MASK} is {str(value)[:60]}, expected an RLE with size [height, width]")
    try:
        return parse_segmentation(value, *size)
    except ValueError as error:
        raise DataError(str(error)) from error


def _detections(rows: Sequence, names: Tuple[str, ...]) -> Detections:
    if not rows:
        return no_detections(names)
    boxes, scores, labels, rles = zip(*sorted(rows, key=lambda row: -row[1]))
    has_masks = rles[0] is not None
    return Detections(
        np.array(boxes, np.float32),
        np.array(scores, np.float32),
        np.array(labels, np.int32),
        names,
        image_size=tuple(rles[0]["size"]) if has_masks else None,
        rles=rles if has_masks else None,
    )


def _of_one_class(boxes: np.ndarray, scores: np.ndarray, names: Tuple[str, ...]) -> Detections:
    return Detections(boxes, scores, np.zeros(len(boxes), np.int32), names)


def _is_side(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**20


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < LIMIT


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _like(image_id: Any, images: Mapping[Any, Any]) -> str:
    """An example, since 7 and "7" are different ids."""
    example = next(iter(images), None)
    return "" if example is None else f", whose ids are like {example!r}"


def _short(ids: Mapping[int, int]) -> str:
    shown = ", ".join(map(str, list(ids)[:20]))
    return shown + (", ..." if len(ids) > 20 else "")
