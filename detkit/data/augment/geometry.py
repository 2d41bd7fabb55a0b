"""Moves an image with its objects, and joins the objects of several images.

One rule holds for every transform that cuts or covers objects. An object with a mask gets the box
of the mask that is left. An object that is not visible any more is dropped. An object of which too
little is visible becomes difficult, because nobody can name the remnant, and yet it is in the
image: it is trained on neither as an object nor as background.
"""

from typing import Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from detkit.data.sample import Field, MovingField, Sample
from detkit.errors import DataError

FILL = (124, 116, 104)  # ImageNet's mean: near zero after the usual normalisation
Fill = Union[Sequence[float], np.ndarray]
VISIBLE = 0.1  # YOLOv5 drops objects of which less is left
LONGEST_SIDE = 32766  # pixels, of OpenCV's warps
LEAST_SIDE = 1.0  # pixels, of an object without a mask


def placing(scale: Tuple[float, float], shift: Tuple[float, float]) -> np.ndarray:
    """Returns the matrix (2, 3) of a move by the factors and then by the pixels x and y."""
    return np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]], np.float64)


def warped(
    sample: Sample,
    matrix: np.ndarray,
    size: Tuple[int, int],
    fill: Fill = FILL,
    visible: float = VISIBLE,
    clear: Optional[np.ndarray] = None,
) -> Sample:
    """Returns the Sample moved by a matrix and cut to a size.

    matrix: (2, 3), from x, y, 1 before to x, y after, in continuous pixels.
    size: (width, height) of the result in pixels.
    fill: the colour of what the image does not cover.
    visible: the share of an object, in [0, 1], below which it becomes difficult.
    clear: (G,) bool, the objects that stay what they are; None decides by ``visible``.

    Raises DataError for an image of more than LONGEST_SIDE pixels that has to be resampled.
    """
    image = _warp_image(sample, matrix, size, fill)
    whole = _moved(sample.boxes, matrix)
    boxes = np.clip(whole, 0, size * 2)
    shares = _area(boxes) / np.maximum(_area(whole), np.finfo(np.float64).tiny)
    masks = None
    if sample.masks is not None:
        masks = _warp_masks(sample.masks, matrix, size)
        boxes, shares = _by_masks(sample.masks, masks, boxes, shares, matrix)
    moved = move_fields(sample, "warp", matrix, size)._replace(image=image, masks=masks)
    proposals = _proposals(sample.proposals, matrix, size)
    moved = moved._replace(boxes=boxes.astype(np.float32), proposals=proposals)
    return settled(moved, shares, shares >= visible if clear is None else clear)


def settled(sample: Sample, shares: np.ndarray, clear: np.ndarray) -> Sample:
    """Returns the Sample without the objects that vanished, the unclear ones difficult.

    shares: (G,) the visible share of each object. clear: (G,) bool.
    """
    sides = sample.boxes[:, 2:] - sample.boxes[:, :2]
    clear = clear & (sides >= LEAST_SIDE).all(axis=1)
    marked = sample._replace(difficult=sample.difficult | ~clear)
    return marked.take((shares > 0) & (sides > 0).all(axis=1))


def visible_shares(sample: Sample, covered: np.ndarray) -> np.ndarray:
    """Returns the share (G,) of each object that is not covered; covered: (H, W) bool.

    An object is the pixels of its mask, or those of its box if it has none.
    """
    shares = np.ones(len(sample.boxes))
    for row, (x1, y1, x2, y2) in enumerate(np.maximum(sample.boxes, 0)):
        columns = slice(int(x1), int(np.ceil(x2)))
        rows = slice(int(y1), int(np.ceil(y2)))
        hidden = covered[rows, columns]
        if sample.masks is not None:
            mask = sample.masks[row].astype(bool)
            if mask.any():
                hidden = covered[mask]
        shares[row] = 1 - hidden.mean() if hidden.size else 1
    return shares


def boxes_of(masks: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Returns the boxes (G, 4) around masks (G, H, W); ``boxes`` has those of empty masks."""
    around = boxes.copy()
    for row, mask in enumerate(masks):
        x, y, width, height = cv2.boundingRect(mask)
        if width:
            around[row] = x, y, x + width, y + height
    return around


def joined(first: Sample, *others: Sample) -> Sample:
    """Returns the first Sample with the objects of others behind its own.

    All images have one size. The proposals follow each other by their ranks, the best first.
    """
    samples = [first, *others]
    boxes, labels, difficult = (
        np.concatenate([getattr(each, name) for each in samples])
        for name in ("boxes", "labels", "difficult")
    )
    masks = [each.masks for each in samples if each.masks is not None]
    result = first
    for other in others:
        fields = {name: other.fields[name] for name in first.fields}
        result = move_fields(result, "join", fields)
    proposals = None
    if first.proposals is not None:
        given = [each.proposals for each in samples if each.proposals is not None]
        ranks = np.concatenate([np.arange(len(each)) for each in given])
        proposals = np.concatenate(given)[np.argsort(ranks, kind="stable")]
    return result._replace(
        boxes=boxes,
        labels=labels,
        difficult=difficult,
        masks=np.concatenate(masks) if masks else None,
        proposals=proposals,
    )


def move_fields(sample: Sample, method: str, *arguments: object) -> Sample:
    """Returns the Sample whose fields are the results of a method of MovingField.

    An argument that is a mapping has the argument of each field.

    Raises DataError for a field without the method.
    """
    moved = {}
    for name, field in sample.fields.items():
        if not isinstance(field, MovingField):
            raise DataError(
                f"image {sample.image_id!r}: field {name!r}: expected the methods warp, cover and "
                f"join of detkit.data.sample.MovingField, found {type(field).__name__} without "
                "them; add them, or leave out the transforms that crop, turn, cover or mix images"
            )
        own = [each[name] if isinstance(each, dict) else each for each in arguments]
        result: Field = getattr(field, method)(*own)
        moved[name] = result
    return sample._replace(fields=moved)


def like(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Returns an image clipped to [0, 255], in a type; whole numbers are rounded."""
    clipped = np.clip(image, 0, 255)
    return (clipped.round() if dtype.kind in "ui" else clipped).astype(dtype)


def _moved(boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Returns the boxes (N, 4) float64 around the moved corners of boxes (N, 4)."""
    corners = boxes.astype(np.float64)[:, [0, 1, 2, 1, 0, 3, 2, 3]].reshape(-1, 4, 2)
    corners = corners @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


def _area(boxes: np.ndarray) -> np.ndarray:
    sides: np.ndarray = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)
    return sides


def _proposals(
    proposals: Optional[np.ndarray], matrix: np.ndarray, size: Tuple[int, int]
) -> Optional[np.ndarray]:
    """Returns the proposals (R, 4) that are still in the image, moved and cut."""
    if proposals is None:
        return None
    boxes = np.clip(_moved(proposals, matrix), 0, size * 2).astype(np.float32)
    kept: np.ndarray = boxes[(boxes[:, 2:] - boxes[:, :2] >= LEAST_SIDE).all(axis=1)]
    return kept


def _by_masks(
    before: np.ndarray,
    after: np.ndarray,
    boxes: np.ndarray,
    shares: np.ndarray,
    matrix: np.ndarray,
) -> Tuple[np.ndarray, np.ndarray]:
    """Returns the boxes and the visible shares of objects, those with a mask by their masks."""
    factor = abs(np.linalg.det(matrix[:, :2]))
    shares = shares.copy()
    for row, (old, new) in enumerate(zip(before, after)):
        count = np.count_nonzero(old)
        if count:
            shares[row] = min(1.0, np.count_nonzero(new) / (count * factor))
    return boxes_of(after, boxes), shares


def _warp_image(
    sample: Sample, matrix: np.ndarray, size: Tuple[int, int], fill: Fill
) -> np.ndarray:
    """Returns the moved image, bilinear; an image that shrinks is averaged before."""
    image, colour = sample.image, tuple(float(value) for value in fill)
    if not _is_whole_shift(matrix):
        if max(image.shape[:2]) > LONGEST_SIDE:
            raise DataError(
                f"image {sample.image_id!r}: expected sides of at most {LONGEST_SIDE} pixels, "
                f"found {image.shape[1]} x {image.shape[0]}; put a Resize before the transform"
            )
        image, matrix = _shrunk(image, matrix)
    if _is_whole_shift(matrix):
        out = np.empty((size[1], size[0], image.shape[2]), image.dtype)
        out[:] = np.array(colour)
        return _copied(image, out, matrix)
    moves = _of_centres(matrix)
    moved = cv2.warpAffine(
        image, moves, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    # A border that is mixed with the fill would be an edge that no camera sees.
    within = np.ones(image.shape[:2], np.uint8)
    moved[cv2.warpAffine(within, moves, size, flags=cv2.INTER_NEAREST) == 0] = colour
    return moved


def _warp_masks(masks: np.ndarray, matrix: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Returns the moved masks (G, H, W), each pixel that of the nearest one before."""
    out = np.zeros((len(masks), size[1], size[0]), masks.dtype)
    whole, moves = _is_whole_shift(matrix), _of_centres(matrix)
    for mask, target in zip(masks, out):
        if whole:
            _copied(mask, target, matrix)
        else:
            target[:] = cv2.warpAffine(mask, moves, size, flags=cv2.INTER_NEAREST)
    return out


def _shrunk(image: np.ndarray, matrix: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Returns the image averaged to the scale of a matrix that shrinks, and the matrix after it."""
    height, width = image.shape[:2]
    scale = np.minimum(np.hypot(*matrix[:, :2]), 1)
    small = max(1, round(width * scale[0])), max(1, round(height * scale[1]))
    if small == (width, height):
        return image, matrix
    rest = matrix.copy()
    rest[:, :2] = matrix[:, :2] * (width / small[0], height / small[1])
    return cv2.resize(image, small, interpolation=cv2.INTER_AREA), rest


def _is_whole_shift(matrix: np.ndarray) -> bool:
    shift = matrix[:, 2]
    return bool(np.allclose(matrix[:, :2], np.eye(2), atol=1e-9) and (shift == shift.round()).all())


def _of_centres(matrix: np.ndarray) -> np.ndarray:
    """Returns the matrix for OpenCV, whose pixels have their centres at whole numbers."""
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return moved


def _copied(source: np.ndarray, out: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Copies (H, W, ...) into ``out``, shifted by the whole pixels of a matrix; returns ``out``."""
    parts = []
    for axis, shift in enumerate((int(matrix[1, 2]), int(matrix[0, 2]))):
        first = max(0, shift)
        last = max(first, min(out.shape[axis], source.shape[axis] + shift))
        parts.append((slice(first, last), slice(first - shift, last - shift)))
    (rows, from_rows), (columns, from_columns) = parts
    out[rows, columns] = source[from_rows, from_columns]
    return out
