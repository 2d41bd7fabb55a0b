"""detections.jsonl: a line of JSON for each frame, the same that the C++ program prints.

``detect DIR IMAGE... --json`` of tools/deploy writes a line with the same keys in the same order
and with the same spaces. Only the last digits of numbers may differ. A frame of a video also has
``frame``, its number from 0, and ``seconds``; the program, which reads images alone, has neither.
"""

import re
from typing import Iterable, Sequence

from detkit.detections import Detections
from detkit.predictions.saves.growing import GrowingFile
from detkit.predictions.saves.result import Result, Target

FILE = "detections.jsonl"
ESCAPED = re.compile(r'["\\]')
CONTROL = re.compile(r"[\x00-\x1f]")
HALF = re.compile(r"[\ud800-\udfff]")  # a byte of a path that is no UTF-8, as Python holds it


class JsonSave:
    """One line for each frame: {"path", "height", "width", "detections"}.

    A detection is {"box": [x1, y1, x2, y2], "score", "label", "name"}, and if the detector has
    them, "mask", a compressed RLE of COCO's, and "keypoints", [[x, y, score], ...].
    """

    def __init__(self, target: Target) -> None:
        self._file = GrowingFile(target.folder / FILE)

    def add(self, result: Result) -> None:
        """Writes a line."""
        self._file.write(line_of(result))

    def close(self) -> None:
        """Completes the file."""
        self._file.close()


def line_of(result: Result) -> str:
    """Returns the line of a result, which ends with a newline."""
    path, frame = result.frame.source.shown, result.frame
    place = ""
    if frame.number is not None:
        place = f', "frame": {frame.number}, "seconds": {frame.seconds:.9g}'
    return line_of_image(path, result.height, result.width, result.found, place)


def line_of_image(path: str, height: int, width: int, found: Detections, place: str = "") -> str:
    """Returns the line of an image, which ends with a newline.

    path: its name. height, width: in pixels. place: the text of further keys, behind the path.
    """
    parts = [f'"path": {quoted(path)}{place}', f'"height": {height}, "width": {width}']
    things = ", ".join(_thing(found, row) for row in range(len(found)))
    return f'{{{", ".join(parts)}, "detections": [{things}]}}\n'


def quoted(text: str) -> str:
    """Returns a string as the C++ program writes it; a byte that is no UTF-8 becomes U+FFFD."""
    text = ESCAPED.sub(lambda found: "\\" + found[0], text)
    text = CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return f'"{HALF.sub(lambda found: chr(92) + "ufffd", text)}"'


def _thing(found: Detections, row: int) -> str:
    label = int(found.labels[row])
    text = (
        f'{{"box": {_numbers(found.boxes[row])}, "score": {found.scores[row]:.9g}, '
        f'"label": {label}, "name": {quoted(found.class_names[label])}'
    )
    if found.has_masks:
        rle = found.rle(row)
        counts = quoted(rle["counts"].decode("ascii"))
        text += f', "mask": {{"size": {_numbers(rle["size"])}, "counts": {counts}}}'
    if found.keypoints is not None:
        text += f', "keypoints": [{", ".join(map(_numbers, found.keypoints[row]))}]'
    return text + "}"


def _numbers(values: Iterable[float]) -> str:
    shown: Sequence[str] = [f"{float(value):.9g}" for value in values]
    return f"[{', '.join(shown)}]"
