"""Pictures of detections: boxes, masks, names and scores drawn into a copy of the image."""

from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from detkit.detections import Detections
from detkit.errors import DataError
from detkit.segmentations import THRESHOLD

Colour = Tuple[int, int, int]
FONT = cv2.FONT_HERSHEY_SIMPLEX
EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
TINT = 0.45  # how much of a mask's pixels is its colour
_GOLDEN = 0.6180339887498949


class _Pen(NamedTuple):
    """What makes a drawing readable at one image size; all in pixels but `font`, OpenCV's scale."""

    line: int
    font: float
    stroke: int
    margin: int


class _Label(NamedTuple):
    """A text on its background: left, top, right, bottom, and where the text begins."""

    text: str
    box: Tuple[int, int, int, int]
    origin: Tuple[int, int]


def colour_of(label: int) -> Colour:
    """The RGB colour of a class, the same in every picture.

    Hues follow the golden ratio, so that any first few are far apart, and lightness alternates, so
    that close hues among many differ; both in Oklab (Ottosson, 2020), where they look even.
    """
    hue = 2 * np.pi * (0.08 + _GOLDEN * label)
    lightness, chroma = ((0.72, 0.18), (0.62, 0.2), (0.82, 0.15))[label % 3]
    return _oklab_to_rgb(lightness, chroma * np.cos(hue), chroma * np.sin(hue))


def _oklab_to_rgb(lightness: float, a: float, b: float) -> Colour:
    cones = np.array(
        [[1, 0.39633778, 0.21580376], [1, -0.10556135, -0.06385417], [1, -0.08948418, -1.29148555]]
    )
    linear = np.array(
        [
            [4.07674166, -3.30771159, 0.23096993],
            [-1.26843800, 2.60975740, -0.34131940],
            [-0.00419609, -0.70341861, 1.70761470],
        ]
    )
    light = np.clip(linear @ (cones @ (lightness, a, b)) ** 3, 0, 1)
    gamma = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    red, green, blue = np.rint(255 * gamma).astype(int).tolist()
    return red, green, blue


def draw_detections(
    image: np.ndarray,
    detections: Detections,
    score_floor: float = 0.5,
    truth=None,
    scale: float = 1.0,
) -> np.ndarray:
    """A copy of the image with the boxes, masks, names and scores of what was detected.

    image: (H, W, 3) RGB, uint8 or numbers in 0..255.
    score_floor: detections below it are not drawn.
    truth: an Annotation or None; its objects are drawn with dashed lines.
    scale: the picture's size over the image's; small images are easier to read enlarged.

    Returns (round(H * scale), round(W * scale), 3) uint8 RGB. Raises DataError for an array that
    is no such image.
    """
    canvas = _enlarged(image, scale)
    pen = _pen(canvas)
    if truth is not None:
        for box in np.asarray(truth.boxes):
            _dashed(canvas, _corners(box, scale, canvas), pen)
    order = np.argsort(-np.asarray(detections.scores), kind="stable")
    shown = [int(i) for i in order if detections.scores[i] >= score_floor]
    # Boxes have the colour of their class, masks each its own, to tell neighbours apart.
    kinds = range(len(shown)) if detections.has_masks else detections.labels[shown].tolist()
    colours = dict(zip(shown, map(colour_of, kinds)))
    for i in reversed(shown):  # the best on top
        x1, y1, x2, y2 = _corners(detections.boxes[i], scale, canvas)
        if detections.has_masks:
            _tint(canvas, detections.mask(i), colours[i], pen)
        cv2.rectangle(canvas, (x1, y1), (x2, y2), colours[i], pen.line)
    placed: List[_Label] = []
    for i in shown:
        text = f"{detections.class_names[detections.labels[i]]} {detections.scores[i]:.2f}"
        placed.append(
            _place(text, _corners(detections.boxes[i], scale, canvas), canvas, pen, placed)
        )
    for i, label in reversed(list(zip(shown, placed))):
        _write(canvas, label, colours[i], pen)
    return canvas


def _enlarged(image: np.ndarray, scale: float) -> np.ndarray:
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or not image.size or image.dtype.kind not in "uif":
        raise DataError(
            f"cannot draw into {image.dtype} {image.shape}, expected an (H, W, 3) image"
        )
    if not scale > 0:
        raise DataError(f"cannot draw at the scale {scale}, expected a number above 0")
    image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return _resized(image, size)


def _resized(image: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    smaller = size[0] < image.shape[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def _pen(canvas: np.ndarray) -> _Pen:
    side = float(np.sqrt(canvas.shape[0] * canvas.shape[1]))
    font = float(np.clip(side / 1100, 0.36, 2.5))
    return _Pen(
        line=max(1, round(0.6 + side / 320)),
        font=font,
        stroke=max(1, round(1.6 * font)),
        margin=max(2, round(6 * font)),
    )


def _corners(box: np.ndarray, scale: float, canvas: np.ndarray) -> Tuple[int, int, int, int]:
    """The corners as pixels of the canvas, so that a box at the border keeps all its sides."""
    limits = np.array(canvas.shape[1::-1] * 2) - 1
    corners = np.rint(np.clip(np.asarray(box, np.float64) * scale, 0, limits))
    x1, y1, x2, y2 = corners.astype(int).tolist()
    return x1, y1, x2, y2


def _tint(canvas: np.ndarray, mask: np.ndarray, colour: Colour, pen: _Pen) -> None:
    """Mix the colour into the pixels of a mask (H, W) of probabilities, and draw its outline."""
    size = (canvas.shape[1], canvas.shape[0])
    inside = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR) >= THRESHOLD
    canvas[inside] = np.rint(canvas[inside] * (1 - TINT) + np.multiply(colour, TINT))
    outlines, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(canvas, outlines, -1, colour, pen.line, cv2.LINE_AA)


def _place(text: str, box, canvas: np.ndarray, pen: _Pen, placed: Sequence[_Label]) -> _Label:
    """The label at the first corner of its box where it covers no better one, inside the image."""
    (width, ascent), descent = cv2.getTextSize(text, FONT, pen.font, pen.stroke)
    width, height = width + 2 * pen.margin, ascent + descent + pen.margin
    left, edge = box[0] - pen.line // 2, pen.line // 2 + 1
    tops = (box[1] - height, box[3], box[1], box[3] - height)
    corners = [(x, y) for x in (left, box[2] - width + edge) for y in tops]
    labels = [_clamped(text, corner, (width, height), canvas, pen, ascent) for corner in corners]
    free = (new for new in labels if not any(_overlap(new.box, old.box) for old in placed))
    return next(free, labels[0])


def _clamped(text, corner, size, canvas, pen: _Pen, ascent: int) -> _Label:
    x = max(0, min(corner[0], canvas.shape[1] - size[0]))
    y = max(0, min(corner[1], canvas.shape[0] - size[1]))
    origin = (x + pen.margin, y + pen.margin // 2 + ascent + 1)
    return _Label(text, (x, y, x + size[0], y + size[1]), origin)


def _overlap(one, other) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _write(canvas: np.ndarray, label: _Label, colour: Colour, pen: _Pen) -> None:
    x1, y1, x2, y2 = label.box
    cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), colour, cv2.FILLED)
    ink = BLACK if np.dot(colour, (0.299, 0.587, 0.114)) > 130 else WHITE
    cv2.putText(canvas, label.text, label.origin, FONT, pen.font, ink, pen.stroke, cv2.LINE_AA)


def _dashed(canvas: np.ndarray, box, pen: _Pen) -> None:
    """A rectangle of black and white dashes, to be seen on any ground."""
    x1, y1, x2, y2 = box
    dash = 4 * pen.line + 2
    cv2.rectangle(canvas, (x1, y1), (x2, y2), BLACK, pen.line)
    for start in range(x1, x2, 2 * dash):
        for y in (y1, y2):
            cv2.line(canvas, (start, y), (min(start + dash, x2), y), WHITE, pen.line)
    for start in range(y1, y2, 2 * dash):
        for x in (x1, x2):
            cv2.line(canvas, (x, start), (x, min(start + dash, y2)), WHITE, pen.line)


def contact_sheet(
    images: Sequence[np.ndarray],
    columns: int,
    cell: Optional[Tuple[int, int]] = None,
    gap: int = 8,
) -> np.ndarray:
    """Images side by side on white, row by row, each fitted into a cell and centred.

    images: (H, W, 3) uint8 RGB of any sizes; cell: (height, width), by default the largest of each.
    """
    if not images or columns < 1:
        raise DataError(f"a contact sheet of {len(images)} images in {columns} columns is empty")
    height, width = cell or np.max([image.shape[:2] for image in images], axis=0).tolist()
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    sheet = np.full(shape, WHITE[0], np.uint8)
    for index, image in enumerate(images):
        ratio = min(height / image.shape[0], width / image.shape[1])
        size = (max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio)))
        top = index // columns * (height + gap) + (height - size[1]) // 2
        left = index % columns * (width + gap) + (width - size[0]) // 2
        sheet[top : top + size[1], left : left + size[0]] = _resized(image, size)
    return sheet


def save_image(path: Union[str, Path], rgb: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 RGB image in the format its extension names.

    Raises DataError, with the path and the reason, where that is not possible.
    """
    path = Path(path)
    if path.suffix.lower() not in EXTENSIONS:
        raise DataError(f"{path}: cannot write {path.suffix!r}, expected {', '.join(EXTENSIONS)}")
    _, data = cv2.imencode(path.suffix.lower(), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise DataError(f"{path}: the image cannot be written: {error.strerror}") from error
