"""Draws detections: boxes, masks, names and scores, in a copy of the image."""

from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from detkit.detections import Detections
from detkit.detections.skeletons import draw_skeleton
from detkit.errors import DataError
from detkit.segmentations import THRESHOLD

if TYPE_CHECKING:
    from detkit.data.sample import Annotation

Colour = Tuple[int, int, int]
Corners = Tuple[int, int, int, int]  # left, top, right, bottom in pixels
FONT = cv2.FONT_HERSHEY_SIMPLEX
EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
TINT = 0.45  # the share of the mask's colour in its pixels
GOLDEN_RATIO = 0.6180339887498949


class _Pen(NamedTuple):
    """The sizes that are readable at one image size: pixels, but `font` is OpenCV's scale."""

    line: int
    font: float
    stroke: int
    margin: int


class _Label(NamedTuple):
    """A text, the corners of its background, and the point where it begins."""

    text: str
    box: Corners
    origin: Tuple[int, int]


def colour_of(label: int) -> Colour:
    """Returns the RGB colour of a class, which is the same in every image.

    Hues follow the golden ratio, so that those of the first classes are far apart. Lightness
    alternates, so that close hues of many classes differ. Both are chosen in Oklab (Ottosson,
    2020), in which equal steps look equal.
    """
    hue = 2 * np.pi * (0.08 + GOLDEN_RATIO * label)
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
    truth: Optional["Annotation"] = None,
    scale: float = 1.0,
    with_scores: bool = True,
) -> np.ndarray:
    """Returns a copy of the image with boxes, masks or skeletons, names and scores of detections.

    image: (H, W, 3) RGB, uint8 or numbers in [0, 255].
    score_floor: the smallest score of a detection that is drawn.
    truth: the ground truth, whose boxes are drawn with dashed lines.
    scale: the factor by which the image is enlarged; small images are easier to read enlarged.
    with_scores: whether scores are written beside the names.

    The result is (round(H * scale), round(W * scale), 3) uint8 RGB. Raises DataError for another
    array or a scale that is not above 0.
    """
    canvas = _enlarged(image, scale)
    pen = _pen(canvas)
    if truth is not None:
        for box in np.asarray(truth.boxes):
            _dashed(canvas, _corners(box, scale, canvas), pen)
    order = np.argsort(-np.asarray(detections.scores), kind="stable")
    shown = [int(i) for i in order if detections.scores[i] >= score_floor]
    colours = _colours(detections, shown)
    for i in reversed(shown):  # the best on top
        x1, y1, x2, y2 = _corners(detections.boxes[i], scale, canvas)
        if detections.has_masks:
            _tint(canvas, detections.mask(i), colours[i], pen)
        cv2.rectangle(canvas, (x1, y1), (x2, y2), colours[i], pen.line)
        if detections.keypoints is not None:
            points = detections.keypoints[i] * (scale, scale, 1)
            draw_skeleton(canvas, points, detections.skeleton, colours[i], pen.line)
    labels = _labels(detections, shown, scale, canvas, pen, with_scores)
    for i, label in reversed(list(zip(shown, labels))):
        _write(canvas, label, colours[i], pen)
    return canvas


def _colours(detections: Detections, shown: Sequence[int]) -> Dict[int, Colour]:
    """Returns {index: colour} of the shown detections."""
    # A box has the colour of its class. Masks and skeletons tell neighbours apart by their own.
    own = detections.has_masks or detections.keypoints is not None
    kinds = range(len(shown)) if own else detections.labels[shown].tolist()
    return dict(zip(shown, map(colour_of, kinds)))


def _labels(
    detections: Detections,
    shown: Sequence[int],
    scale: float,
    canvas: np.ndarray,
    pen: _Pen,
    with_scores: bool,
) -> List[_Label]:
    """Returns the placed labels of the shown detections."""
    placed: List[_Label] = []
    for i in shown:
        score = f" {detections.scores[i]:.2f}" if with_scores else ""
        text = f"{detections.class_names[detections.labels[i]]}{score}"
        box = _corners(detections.boxes[i], scale, canvas)
        placed.append(_place(text, box, canvas, pen, placed))
    return placed


def _enlarged(image: np.ndarray, scale: float) -> np.ndarray:
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or not image.size or image.dtype.kind not in "uif":
        raise DataError(f"image: expected an array (H, W, 3), found {image.dtype} {image.shape}")
    if not scale > 0:
        raise DataError(f"scale: expected a number above 0, found {scale}")
    if image.dtype != np.uint8:
        image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return _resized(image, size)


def _resized(image: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    if size == image.shape[1::-1]:
        return image.copy()
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


def _corners(box: np.ndarray, scale: float, canvas: np.ndarray) -> Corners:
    """Returns the corners as pixels of the canvas; a box at the border keeps all its sides."""
    limits = np.array(canvas.shape[1::-1] * 2) - 1
    corners = np.rint(np.clip(np.asarray(box, np.float64) * scale, 0, limits))
    x1, y1, x2, y2 = corners.astype(int).tolist()
    return x1, y1, x2, y2


def _tint(canvas: np.ndarray, mask: np.ndarray, colour: Colour, pen: _Pen) -> None:
    """Mixes the colour into the pixels of a mask (H, W) of probabilities and draws its outline."""
    size = (canvas.shape[1], canvas.shape[0])
    inside = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR) >= THRESHOLD
    canvas[inside] = np.rint(canvas[inside] * (1 - TINT) + np.multiply(colour, TINT))
    outlines, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(canvas, outlines, -1, colour, pen.line, cv2.LINE_AA)


def _place(
    text: str, box: Corners, canvas: np.ndarray, pen: _Pen, placed: Sequence[_Label]
) -> _Label:
    """Returns the label at the first corner of its box where it hides no label that is placed."""
    (width, ascent), descent = cv2.getTextSize(text, FONT, pen.font, pen.stroke)
    width, height = width + 2 * pen.margin, ascent + descent + pen.margin
    left, edge = box[0] - pen.line // 2, pen.line // 2 + 1
    tops = (box[1] - height, box[3], box[1], box[3] - height)
    corners = [(x, y) for x in (left, box[2] - width + edge) for y in tops]
    labels = [_clamped(text, corner, (width, height), canvas, pen, ascent) for corner in corners]
    free = (new for new in labels if not any(_overlap(new.box, old.box) for old in placed))
    return next(free, labels[0])


def _clamped(
    text: str,
    corner: Tuple[int, int],
    size: Tuple[int, int],
    canvas: np.ndarray,
    pen: _Pen,
    ascent: int,
) -> _Label:
    """Returns the label moved into the image; corner: its left and top, size: width and height."""
    x = max(0, min(corner[0], canvas.shape[1] - size[0]))
    y = max(0, min(corner[1], canvas.shape[0] - size[1]))
    origin = (x + pen.margin, y + pen.margin // 2 + ascent + 1)
    return _Label(text, (x, y, x + size[0], y + size[1]), origin)


def _overlap(one: Corners, other: Corners) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _write(canvas: np.ndarray, label: _Label, colour: Colour, pen: _Pen) -> None:
    x1, y1, x2, y2 = label.box
    cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), colour, cv2.FILLED)
    ink = BLACK if np.dot(colour, (0.299, 0.587, 0.114)) > 130 else WHITE
    cv2.putText(canvas, label.text, label.origin, FONT, pen.font, ink, pen.stroke, cv2.LINE_AA)


def _dashed(canvas: np.ndarray, box: Corners, pen: _Pen) -> None:
    """Draws a rectangle of black and white dashes, which is visible on any background."""
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
    """Returns a white sheet with images in rows, each scaled into a cell and centred.

    images: at least one, (H, W, 3) uint8 RGB of any size.
    columns: the number of cells in a row.
    cell: (height, width) in pixels; by default the largest height and the largest width.
    gap: the pixels between cells.

    Raises DataError if there is no image or no column.
    """
    if not images or columns < 1:
        raise DataError(
            f"contact sheet: expected at least 1 image and 1 column, found {len(images)} images in "
            f"{columns} columns"
        )
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
    """Writes an (H, W, 3) uint8 RGB image in the format of the path's extension.

    Raises DataError for an unknown extension and for a file that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in EXTENSIONS:
        raise DataError(
            f"{path}: expected one of the extensions {', '.join(EXTENSIONS)}, found {path.suffix!r}"
        )
    _, data = cv2.imencode(path.suffix.lower(), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from error
