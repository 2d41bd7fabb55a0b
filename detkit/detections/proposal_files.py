"""Files with the proposals of a whole dataset, which are read at once.

2000 proposals of each of VOC 2007's 5011 images take 0.2 GB and a second; COCO's JSON takes 1.7 GB
and minutes. Fast R-CNN's .mat files are read too, see detkit.detections.mat_proposals. The file
that is written is an uncompressed .npz, an archive of four arrays:

    image_ids  (n,) text       the dataset's ids; a number is written in decimal
    counts     (n,) integers   the number of proposals of each image, which may be 0
    boxes      (sum of counts, 4) float32, x1 y1 x2 y2 in pixels of the image on disk
    scores     (sum of counts,) float32

Boxes and scores begin with those of the first image, then follow those of the second, and so on.
"""

import math
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, Mapping, Tuple, Union

import numpy as np

from detkit.detections import Detections
from detkit.detections.mat_proposals import read_mat_proposals
from detkit.detections.of_dataset import paired
from detkit.errors import DataError
from detkit.files.disk import whole_file
from detkit.wording import first_few

if TYPE_CHECKING:
    from detkit.data.sample import Dataset

SUFFIX, MAT = ".npz", ".mat"
ARRAYS: Dict[str, Any] = {
    "image_ids": np.str_,
    "counts": np.integer,
    "boxes": np.float32,
    "scores": np.float32,
}

# numpy's own reader evaluates the header and allocates what it says before it reads.
HEADER = re.compile(
    rb"\x93NUMPY[\x01-\x03]\x00(?:..|....)"
    rb"\{'descr': '([<>|=]?[biufU]\d{0,9})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,18}, ?){0,3}\d{0,18})\),? ?\} *\n",
    re.DOTALL,
)
MOST_COMPRESSED = 20  # times the size of the archive: the most that is decompressed
SLACK = 1 << 20  # bytes; repeated proposals of few images compress far better

Proposed = Tuple[np.ndarray, np.ndarray]


def is_proposal_file(path: Union[str, Path]) -> bool:
    """Returns whether a file of this name is read by `read_proposals`, and not COCO's JSON."""
    return Path(path).suffix.lower() in (SUFFIX, MAT)


def check_written(path: Union[str, Path]) -> None:
    """Raises DataError for the name of a file of proposals that is only read."""
    if Path(path).suffix.lower() == MAT:
        raise DataError(f"{path}: expected an .npz, because .mat files are only read, found a .mat")


def save_proposals(
    path: Union[str, Path], detections: Mapping[Any, Detections], dataset: "Dataset"
) -> None:
    """Writes the boxes and scores of every image in ``detections``.

    The file is complete or absent afterwards. Raises DataError if it cannot be written or is named
    .mat, and for detections that do not fit the dataset or have several classes.
    """
    path = Path(path)
    check_written(path)
    _refuse_classes(path, dataset)
    paired(dataset, dict(detections))  # refuses what does not fit the dataset
    known = _ids_of(path, dataset).items()
    images = {name: detections[image_id] for name, image_id in known if image_id in detections}
    counts = np.array([len(one.boxes) for one in images.values()], np.int64)
    names = np.array(list(images), str)
    total = int(counts.sum())
    with whole_file(path) as part, zipfile.ZipFile(part, "w") as archive:
        _write(archive, "image_ids", names.dtype, names.shape, [names])
        _write(archive, "counts", counts.dtype, counts.shape, [counts])
        _write(archive, "boxes", np.float32, (total, 4), (one.boxes for one in images.values()))
        _write(archive, "scores", np.float32, (total,), (one.scores for one in images.values()))


def _write(
    archive: zipfile.ZipFile,
    name: str,
    dtype: Any,
    shape: Tuple[int, ...],
    pieces: Iterable[np.ndarray],
) -> None:
    """Writes an array of an .npz piece by piece, so that it is never in memory as a whole."""
    dtype = np.dtype(dtype)
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    # A ZipInfo made here has no date: the same proposals give the same bytes.
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, header)
        for piece in pieces:
            member.write(piece.astype(dtype, copy=False).tobytes())


def read_proposals(path: Union[str, Path], dataset: "Dataset") -> Dict[Any, Proposed]:
    """Returns {image_id: (boxes (R, 4), scores (R,))} of the images in the file, the best first.

    Arrays that are already in order are views of the file's arrays, which are read once.

    Raises DataError, with the file and the image, for a file of another format than
    `save_proposals` writes or, of a .mat, than `read_mat_proposals` reads, and for an image that is
    not in the dataset. Nothing is unpickled.
    """
    path = Path(path)
    _refuse_classes(path, dataset)
    known = _ids_of(path, dataset)
    proposals: Dict[Any, Proposed] = {}
    for name, boxes, scores in _images(path):
        if name not in known:
            example = next(iter(known), None)
            raise DataError(
                f"{path}: expected images of the dataset (such as {example!r}), found {name!r}"
            )
        proposals[known[name]] = _checked(path, name, boxes, scores)
    return proposals


def read_by_name(path: Union[str, Path]) -> Dict[str, Proposed]:
    """Returns {image id as in the file: (boxes (R, 4), scores (R,))} of all images, the best first.

    Raises DataError as `read_proposals` does, but compares the file with no dataset.
    """
    path = Path(path)
    return {name: _checked(path, name, boxes, scores) for name, boxes, scores in _images(path)}


def _images(path: Path) -> Iterator[Tuple[str, np.ndarray, np.ndarray]]:
    """Yields the id, the boxes and the scores of each image.

    Raises DataError for an image that is in the file twice.
    """
    seen = set()
    is_mat = path.suffix.lower() == MAT
    for name, boxes, scores in read_mat_proposals(path) if is_mat else _rows_of_images(path):
        if name in seen:
            raise DataError(f"{path}: expected each image once, found {name!r} twice")
        seen.add(name)
        yield name, boxes, scores


def _rows_of_images(path: Path) -> Iterator[Tuple[str, np.ndarray, np.ndarray]]:
    """Yields the id, the boxes and the scores of each image of an .npz."""
    image_ids, counts, boxes, scores = _read(path)
    end = 0
    for name, count in zip(image_ids.tolist(), counts.tolist()):
        start, end = end, end + count
        yield name, boxes[start:end], scores[start:end]


def _checked(path: Path, name: str, boxes: np.ndarray, scores: np.ndarray) -> Proposed:
    """Returns sorted proposals. Raises DataError that names the file and the image."""
    try:
        return _best_first(boxes, scores)
    except DataError as error:
        raise DataError(f"{path}: image {name!r}: {error}") from error


def _best_first(boxes: np.ndarray, scores: np.ndarray) -> Proposed:
    """Checks and sorts the proposals of an image."""
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise DataError("expected finite boxes and scores, found one that is not finite")
    backwards = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    if backwards.any():
        box = boxes[backwards.argmax()].tolist()
        raise DataError(f"expected boxes x1 y1 x2 y2 with x2 >= x1 and y2 >= y1, found {box}")
    if (scores[1:] <= scores[:-1]).all():
        return boxes, scores
    order = np.argsort(-scores, kind="stable")
    return boxes[order], scores[order]


def _read(path: Path) -> Tuple[np.ndarray, ...]:
    """Returns the four arrays after checking that they fit each other."""
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = _read_archive(archive, path.stat().st_size)
        _check(**arrays)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:  # zipfile and numpy raise many types for damaged bytes
        raise DataError(
            f"{path}: expected an .npz of proposals, found another or a damaged file ({error}); "
            "write it again with detkit test --out"
        ) from error
    return tuple(arrays.values())


def _read_archive(archive: zipfile.ZipFile, size: int) -> Dict[str, np.ndarray]:
    """Returns the arrays of an archive of ``size`` bytes."""
    held = [name[: -len(".npy")] for name in archive.namelist() if name.endswith(".npy")]
    missing = [name for name in ARRAYS if name not in held]
    if missing:
        raise DataError(
            f"expected the arrays {', '.join(ARRAYS)}, found {first_few(held) or 'none'}; "
            f"{', '.join(missing)} missing"
        )
    members = [archive.getinfo(f"{name}.npy") for name in ARRAYS]
    total = sum(member.file_size for member in members)
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    most = size if stored else MOST_COMPRESSED * size + SLACK
    packed = sum(member.compress_size for member in members)
    if total > most or packed > size:
        raise DataError(
            f"expected arrays of at most {most} bytes in an archive of {size} bytes, found "
            f"{max(total, packed)} bytes, as in a zip bomb; write it without compression"
        )
    return {name: _array(name, archive.read(member)) for name, member in zip(ARRAYS, members)}


def _array(name: str, data: bytes) -> np.ndarray:
    """Returns the array of an .npy, whose header is compared with the length of the data first."""
    header = HEADER.match(data)
    if not header:
        raise DataError(f"{name}: expected an .npy of numbers or text, found {data[:80]!r}")
    kind, by_columns, sides = (group.decode("ascii") for group in header.groups())
    dtype = np.dtype(kind)
    shape = tuple(int(side) for side in sides.split(",") if side.strip())
    length = len(data) - header.end()
    if not dtype.itemsize or math.prod(shape) * dtype.itemsize != length:
        raise DataError(
            f"{name}: expected {dtype} {shape} of {math.prod(shape) * dtype.itemsize} bytes, as "
            f"its header says, found {length} bytes"
        )
    flat = np.frombuffer(data, dtype, offset=header.end()) if length else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if by_columns == "True" else "C")


def _check(
    image_ids: np.ndarray, counts: np.ndarray, boxes: np.ndarray, scores: np.ndarray
) -> None:
    """Raises DataError for arrays of a wrong type or of shapes that do not fit each other."""
    images = image_ids.size
    _expect("image_ids", image_ids, (images,))
    _expect("counts", counts, (images,))
    if (counts < 0).any():
        worst = counts.argmin()
        raise DataError(
            f"image {str(image_ids[worst])!r}: expected a count of at least 0, found "
            f"{counts[worst]}"
        )
    total = sum(counts.tolist())
    _expect("boxes", boxes, (total, 4), f" (the sum of counts is {total})")
    _expect("scores", scores, (total,), f" (the sum of counts is {total})")


def _expect(name: str, array: np.ndarray, shape: Tuple[int, ...], reason: str = "") -> None:
    kind = ARRAYS[name]
    if not np.issubdtype(array.dtype, kind) or array.shape != shape:
        raise DataError(
            f"{name}: expected {kind.__name__} {shape}{reason}, found {array.dtype} {array.shape}"
        )


def _refuse_classes(path: Path, dataset: "Dataset") -> None:
    if len(dataset.class_names) > 1:
        raise DataError(
            f"{path}: expected a dataset of one class for a file of proposals, found "
            f"{len(dataset.class_names)} classes; use a .json file"
        )


def _ids_of(path: Path, dataset: "Dataset") -> Dict[str, Any]:
    """Returns {the id as the file writes it: image_id} of the dataset."""
    ids = [dataset.annotation(index).image_id for index in range(len(dataset))]
    known = {str(image_id): image_id for image_id in ids}
    for image_id in ids:
        other = known[str(image_id)]
        if other != image_id:
            raise DataError(
                f"{path}: expected image ids that differ as text, found {image_id!r} and "
                f"{other!r}; use a .json file"
            )
    return known
