"""Files of detections in COCO's results format."""

import json
import reprlib
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    List,
    Mapping,
    Optional,
    Protocol,
    Sequence,
    Tuple,
    Union,
    runtime_checkable,
)

import numpy as np

from detkit.detections import Detections
from detkit.detections.exchange import KEYPOINTS, KEYS, MASK
from detkit.detections.of_dataset import no_detections, paired
from detkit.detections.proposal_files import is_proposal_file, read_proposals, save_proposals
from detkit.errors import DataError
from detkit.files.disk import whole_file
from detkit.keypoints import MOST_KEYPOINTS, from_coco
from detkit.segmentations import RLE, parse_rle
from detkit.wording import first_few

if TYPE_CHECKING:
    from detkit.data.sample import Dataset

LIMIT = 1e37  # the sum of larger numbers may not fit a float32
LARGEST_MASK = 2**27  # pixels

ImageId = Union[int, str]
Corners = Tuple[float, float, float, float]
Row = Tuple[Corners, float, int, Optional[RLE], Optional[np.ndarray]]


@runtime_checkable
class HasCategoryIds(Protocol):
    """The protocol of a dataset whose classes have category ids of their own."""

    category_ids: Sequence[int]


def category_ids(dataset: "Dataset") -> Tuple[int, ...]:
    """Returns the category id of each label: the dataset's `category_ids`, or label + 1."""
    if isinstance(dataset, HasCategoryIds):
        return tuple(dataset.category_ids)
    return tuple(range(1, len(dataset.class_names) + 1))


def save_results(
    path: Union[str, Path], detections: Mapping[Any, Detections], dataset: "Dataset"
) -> None:
    """Writes COCO's results: a list of {image_id, category_id, bbox [x, y, w, h], score}.

    Masks are written as ``segmentation``, a compressed RLE, and keypoints as ``keypoints``, x y and
    a score of each in COCO's coordinates. A path that ends with .npz gets a file of proposals
    instead, see `save_proposals`. The file is complete or absent afterwards.

    Raises DataError if it cannot be written, and for detections that do not fit the dataset.
    """
    path = Path(path)
    if is_proposal_file(path):
        save_proposals(path, detections, dataset)
        return
    ids = category_ids(dataset)
    entries = [
        entry
        for annotation, detected in paired(dataset, dict(detections))
        for entry in detected.to_coco(annotation.image_id, ids)
    ]
    with whole_file(path) as part:
        part.write_text(json.dumps(entries), encoding="utf-8")


def load_results(path: Union[str, Path], dataset: "Dataset") -> Dict[Any, Detections]:
    """Reads COCO's results of every image of the dataset, the best detection first.

    Masks are read if every entry has one, and so are keypoints. Other keys of an entry are ignored.
    A file of proposals (.npz, .mat) gives the detections, with label 0, of the images that it
    holds.

    Raises DataError, with the file and the entry's index, for a file of another format.
    """
    path = Path(path)
    names = tuple(dataset.class_names)
    if is_proposal_file(path):
        proposals = read_proposals(path, dataset)
        return {image_id: _of_one_class(*one, names) for image_id, one in proposals.items()}
    entries = _read_json(path)
    if not isinstance(entries, list):
        raise DataError(f"{path}: expected a list of results, found {type(entries).__name__}")
    labels = {category: label for label, category in enumerate(category_ids(dataset))}
    annotations = (dataset.annotation(index) for index in range(len(dataset)))
    rows: Dict[Any, List[Row]] = {annotation.image_id: [] for annotation in annotations}
    has_masks, has_keypoints = (_have_all(entries, key) for key in (MASK, KEYPOINTS))
    for index, entry in enumerate(entries):
        try:
            image_id, row = _parse(entry, rows, labels)
            mask = _parse_mask(entry[MASK]) if has_masks else None
            points = _parse_keypoints(entry, entries[0]) if has_keypoints else None
            rows[image_id].append((*row, mask, points))
        except DataError as error:
            raise DataError(f"{path}: entry {index}: {error}") from error
    for image_id, of_image in rows.items():
        sizes = {tuple(mask["size"]) for *_, mask, _ in of_image if mask is not None}
        if len(sizes) > 1:
            raise DataError(
                f"{path}: image {image_id!r}: expected masks of one size, found {sorted(sizes)}"
            )
    return {image_id: _detections(of_image, names) for image_id, of_image in rows.items()}


def _read_json(path: Path) -> Any:
    def refuse(constant: str) -> None:
        raise DataError(f"{path}: expected numbers, found {constant}, which JSON does not have")

    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested too deeply
        raise DataError(f"{path}: expected a JSON file: {error}") from error


def _parse(
    entry: Any, images: Mapping[Any, Any], labels: Mapping[int, int]
) -> Tuple[ImageId, Tuple[Corners, float, int]]:
    """Returns (image_id, (box, score, label)) of one entry."""
    if not isinstance(entry, dict):
        raise DataError(f"expected an object with {', '.join(KEYS)}, found {type(entry).__name__}")
    missing = [key for key in KEYS if key not in entry]
    if missing:
        raise DataError(f"expected the keys {', '.join(missing)}, found {first_few(list(entry))}")
    image_id, category, box, score = (entry[key] for key in KEYS)
    if type(image_id) not in (int, str) or image_id not in images:
        raise DataError(
            f"image_id: expected an id of the dataset{_such_as(images)}, found {image_id!r}"
        )
    if type(category) is not int or category not in labels:
        raise DataError(
            f"category_id: expected one of {first_few(list(labels), 20)}, found {category!r}"
        )
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise DataError(f"bbox: expected finite numbers x, y, width, height, found {box!r}")
    x, y, width, height = box
    if width < 0 or height < 0:
        raise DataError(f"bbox: expected a width and a height of at least 0, found {box!r}")
    if not _is_number(score):
        raise DataError(f"score: expected a finite number, found {score!r}")
    return image_id, ((x, y, x + width, y + height), score, labels[category])


def _parse_mask(value: Any) -> RLE:
    """Checks the RLE of an entry."""
    size = value.get("size") if isinstance(value, dict) else None
    if not isinstance(size, list) or len(size) != 2 or not all(map(_is_side, size)):
        raise DataError(
            f"{MASK}: expected an RLE with size [height, width], found {reprlib.repr(value)}"
        )
    if size[0] * size[1] > LARGEST_MASK:
        raise DataError(
            f"{MASK}: expected a mask of at most {LARGEST_MASK} pixels, found the size {size}"
        )
    try:
        return parse_rle(value, *size)
    except ValueError as error:
        raise DataError(str(error)) from error


def _have_all(entries: Sequence[Any], key: str) -> bool:
    """Returns whether there are entries and each of them has a value under ``key``."""
    return bool(entries) and all(isinstance(entry, dict) and entry.get(key) for entry in entries)


def _parse_keypoints(entry: Dict[str, Any], first: Dict[str, Any]) -> np.ndarray:
    """Checks the keypoints of an entry, as many as the ``first`` one has; returns them (J, 3)."""
    values = entry[KEYPOINTS]
    is_list = isinstance(values, list) and len(values) <= 3 * MOST_KEYPOINTS
    if not is_list or len(values) % 3 or not all(map(_is_number, values)):
        raise DataError(
            f"{KEYPOINTS}: expected x, y and a number of at most {MOST_KEYPOINTS} keypoints, found "
            f"{reprlib.repr(values)}"
        )
    if len(values) != len(first[KEYPOINTS]):
        raise DataError(
            f"{KEYPOINTS}: expected {len(first[KEYPOINTS])} numbers as in the first entry, found "
            f"{len(values)}"
        )
    return from_coco(values)


def _detections(rows: Sequence[Row], names: Tuple[str, ...]) -> Detections:
    if not rows:
        return no_detections(names)
    boxes, scores, labels, rles, keypoints = zip(*sorted(rows, key=lambda row: -row[1]))
    has_masks = rles[0] is not None
    return Detections(
        np.array(boxes, np.float32),
        np.array(scores, np.float32),
        np.array(labels, np.int32),
        names,
        image_size=tuple(rles[0]["size"]) if has_masks else None,
        rles=rles if has_masks else None,
        keypoints=None if keypoints[0] is None else np.array(keypoints),
    )


def _of_one_class(boxes: np.ndarray, scores: np.ndarray, names: Tuple[str, ...]) -> Detections:
    return Detections(boxes, scores, np.zeros(len(boxes), np.int32), names)


def _is_side(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**20


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < LIMIT


def _such_as(images: Mapping[Any, Any]) -> str:
    """Returns an example for a message, since 7 and "7" are different ids."""
    example = next(iter(images), None)
    return "" if example is None else f" (such as {example!r})"
