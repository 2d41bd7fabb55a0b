"""The recipe for tracking in tools/README.md, run as written, keeps the number of each object."""

import re

import cv2
import numpy as np
import pytest

import detkit
from detkit.detections import Detections
from support import tiny

SIZE, COUNT = (120, 200), 14
COLOURS = {"red": (200, 0, 0), "blue": (0, 0, 200)}  # RGB
LINE = re.compile(r"([0-9.]+) s: (red|blue) ([0-9]+) at \[ *([0-9.]+)")


class OfColours:
    """Finds one rectangle of each colour."""

    class_names = tuple(COLOURS)

    def detect(self, image, score):
        boxes = []
        for colour in COLOURS.values():
            near = np.abs(image.astype(int) - colour).max(axis=-1) < 70
            down, across = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
            boxes.append([across[0], down[0], across[-1] + 1, down[-1] + 1])
        scores = np.float32([0.9, 0.8])
        return Detections(np.float32(boxes), scores, np.int32([0, 1]), self.class_names)


def write_crossing(path):
    """A video of two rectangles that pass each other in opposite directions."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, SIZE[::-1])
    for number in range(COUNT):
        frame = np.full((*SIZE, 3), 120, np.uint8)
        for row, (left, colour) in enumerate(
            zip((10 + 10 * number, 150 - 10 * number), COLOURS.values())
        ):
            frame[10 + 60 * row : 50 + 60 * row, left : left + 40] = colour[::-1]
        writer.write(frame)
    writer.release()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_the_recipe_keeps_the_numbers_of_objects(tmp_path, monkeypatch, capsys):
    pytest.importorskip("supervision", reason="supervision is not installed")
    text = (tiny.ROOT / "tools/README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    write_crossing(tmp_path / "street.mp4")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(detkit, "load", lambda path: OfColours())
    exec(compile(code, "tools/README.md", "exec"), {})
    lines = [LINE.match(line).groups() for line in capsys.readouterr().out.splitlines()]
    tracks = {name: {track for _, found, track, _ in lines if found == name} for name in COLOURS}
    assert len(lines) == 2 * COUNT
    assert all(len(numbers) == 1 for numbers in tracks.values())
    assert tracks["red"] != tracks["blue"]
    lefts = [float(left) for _, found, _, left in lines if found == "red"]
    np.testing.assert_allclose(lefts, 10 + 10 * np.arange(COUNT), atol=3)
    assert lines[-1][0] == f"{(COUNT - 1) / 25:.2f}"
