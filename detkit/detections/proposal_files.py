"""The proposals of a whole dataset in one file that is read at once.

For 2000 proposals of each of VOC 2007's 5011 images this takes 0.2 GB and a second; as COCO's JSON,
1.7 GB and minutes. The file is an uncompressed .npz, an archive of four arrays:

    image_ids  (n,) text       the dataset's own ids; of a number, its digits
    counts     (n,) integers   proposals of each image, 0 where nothing was found
    boxes      (sum of counts, 4) float32, x1 y1 x2 y2 in pixels of the image on disk
    scores     (sum of counts,) float32

Boxes and scores are those of the first image, then those of the second, and so on.
"""

import zipfile
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Mapping, Tuple, Union

import numpy as np

from detkit.detections import Detections
from detkit.detections.of_dataset import paired
from detkit.errors import DataError
from detkit.files.disk import whole_file

SUFFIX = ".npz"
ARRAYS = {
    "image_ids": np.str_,
    "counts": np.integer,
    "boxes": np.float32,
    "scores": np.float32,
}

Proposed = Tuple[np.ndarray, np.ndarray]


def is_proposal_file(path: Union[str, Path]) -> bool:
    """Whether a file of this name holds proposals as written here, and not COCO's JSON."""
    return Path(path).suffix.lower() == SUFFIX


def save_proposals(path: Union[str, Path], detections: Mapping[Any, Detections], dataset) -> None:
    """Write the boxes and scores of every image that ``detections`` knows.

    The file is complete or not there at all. Raises DataError where it cannot be written, and for
    detections that do not fit the dataset, or are of several classes.
    """
    path = Path(path)
    _refuse_classes(path, dataset)
    paired(dataset, dict(detections))  # refuses what does not fit the dataset
    known = _ids_of(path, dataset).items()
    found = {name: detections[image_id] for name, image_id in known if image_id in detections}
    counts = np.array([len(one.boxes) for one in found.values()], np.int64)
    names = np.array(list(found), str)
    total = int(counts.sum())
    with whole_file(path) as part, zipfile.ZipFile(part, "w") as archive:
        _write(archive, "image_ids", names.dtype, names.shape, [names])
        _write(archive, "counts", counts.dtype, counts.shape, [counts])
        _write(archive, "boxes", np.float32, (total, 4), (one.boxes for one in found.values()))
        _write(archive, "scores", np.float32, (total,), (one.scores for one in found.values()))


def _write(archive, name: str, dtype, shape: Tuple[int, ...], pieces: Iterable[np.ndarray]) -> None:
    """One array of an .npz, piece by piece: the whole of it need not be in memory at once."""
    dtype = np.dtype(dtype)
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    # A ZipInfo of one's own has no date, so that the same proposals are the same file.
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, header)
        for piece in pieces:
            member.write(piece.astype(dtype, copy=False).tobytes())


def read_proposals(path: Union[str, Path], dataset) -> Dict[Any, Proposed]:
    """{image_id: (boxes (R, 4), scores (R,))} of the images in the file, best first.

    They are parts of the file's arrays, which are read once, wherever their order is right.

    Raises DataError, with the file and where there is one the image, for what is not as
    `save_proposals` writes it and for an image that is not in the dataset. Nothing is unpickled.
    """
    path = Path(path)
    _refuse_classes(path, dataset)
    known = _ids_of(path, dataset)
    found: Dict[Any, Proposed] = {}
    for name, boxes, scores in _images(path):
        if name not in known:
            example = next(iter(known), None)
            raise DataError(
                f"{path}: image {name!r} is not in the dataset, whose ids are like {example!r}"
            )
        found[known[name]] = _checked(path, name, boxes, scores)
    return found


def read_by_name(path: Union[str, Path]) -> Dict[str, Proposed]:
    """{image id as the file has it: (boxes (R, 4), scores (R,))} of all images, best first.

    Raises DataError as `read_proposals` does, without a dataset to compare the file with.
    """
    path = Path(path)
    return {name: _checked(path, name, *arrays) for name, *arrays in _images(path)}


def _images(path: Path) -> Iterator[Tuple[str, np.ndarray, np.ndarray]]:
    """The id, the boxes and the scores of each image. Raises DataError for one that is twice."""
    image_ids, counts, boxes, scores = _read(path)
    seen = set()
    end = 0
    for name, count in zip(image_ids.tolist(), counts.tolist()):
        start, end = end, end + count
        if name in seen:
            raise DataError(f"{path}: has the image {name!r} twice")
        seen.add(name)
        yield name, boxes[start:end], scores[start:end]


def _checked(path: Path, name: str, boxes: np.ndarray, scores: np.ndarray) -> Proposed:
    try:
        return _best_first(boxes, scores)
    except DataError as error:
        raise DataError(f"{path}: image {name!r}: {error}") from error


def _best_first(boxes: np.ndarray, scores: np.ndarray) -> Proposed:
    """The checked proposals of an image."""
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise DataError("a box or a score is not finite")
    backwards = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    if backwards.any():
        box = boxes[backwards.argmax()].tolist()
        raise DataError(f"found the box {box}, expected x1 y1 x2 y2, x2 >= x1 and y2 >= y1")
    if (scores[1:] <= scores[:-1]).all():
        return boxes, scores
    order = np.argsort(-scores, kind="stable")
    return boxes[order], scores[order]


def _read(path: Path):
    """The four arrays, which fit each other."""
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = _read_archive(archive)
        _check(**arrays)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: proposals cannot be read: {reason}") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:  # zipfile and numpy raise many kinds for bytes that are damaged
        raise DataError(
            f"{path}: not an .npz of proposals, or damaged or cut short: {error}; write it anew "
            "with tools/test.py --out"
        ) from error
    return arrays.values()


def _read_archive(archive: zipfile.ZipFile) -> Dict[str, np.ndarray]:
    held = [name[: -len(".npy")] for name in archive.namelist() if name.endswith(".npy")]
    missing = [name for name in ARRAYS if name not in held]
    if missing:
        raise DataError(
            f"lacks {', '.join(missing)}, expected the arrays {', '.join(ARRAYS)}; found "
            f"{', '.join(held[:10]) or 'none'}"
        )
    arrays = {}
    for name in ARRAYS:
        with archive.open(f"{name}.npy") as member:
            arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
    return arrays


def _check(image_ids, counts, boxes, scores) -> None:
    """Raises DataError for arrays that are not of their kind or do not fit each other."""
    images = image_ids.size
    _expect("image_ids", image_ids, (images,))
    _expect("counts", counts, (images,))
    if (counts < 0).any():
        worst = counts.argmin()
        raise DataError(f"image {str(image_ids[worst])!r}: its count is {counts[worst]}")
    total = sum(counts.tolist())
    _expect("boxes", boxes, (total, 4), f", as the counts add up to {total}")
    _expect("scores", scores, (total,), f", as the counts add up to {total}")


def _expect(name: str, array: np.ndarray, shape: Tuple[int, ...], reason: str = "") -> None:
    kind = ARRAYS[name]
    if not np.issubdtype(array.dtype, kind) or array.shape != shape:
        raise DataError(
            f"{name} is {array.dtype} {array.shape}, expected {kind.__name__} {shape}{reason}"
        )


def _refuse_classes(path: Path, dataset) -> None:
    if len(dataset.class_names) > 1:
        raise DataError(
            f"{path}: a file of proposals ({SUFFIX}) keeps no classes, and the dataset has "
            f"{len(dataset.class_names)}; name a .json file"
        )


def _ids_of(path: Path, dataset) -> Dict[str, Any]:
    """{as the file has it: image_id} of the dataset."""
    ids = [dataset.annotation(index).image_id for index in range(len(dataset))]
    known = {str(image_id): image_id for image_id in ids}
    for image_id in ids:
        other = known[str(image_id)]
        if other != image_id:
            raise DataError(
                f"{path}: the dataset has the image ids {image_id!r} and {other!r}, which are "
                "written alike; use a .json file"
            )
    return known
