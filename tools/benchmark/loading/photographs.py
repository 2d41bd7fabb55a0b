"""JPEGs of any sizes with objects, written for a benchmark of the loader."""

import json
from pathlib import Path
from typing import Iterable, Tuple

import cv2
import numpy as np

from detkit.data import JSONLines

QUALITY = 90
COARSE = 16  # pixels of a patch of one colour before it is smoothed
NOISE = 6  # the deviation of the grain, without which a JPEG would be small and decoded quickly


def write_photographs(folder: Path, sizes: Iterable[Tuple[int, int]]) -> JSONLines:
    """Writes a JPEG of smooth colours and grain of each (height, width); returns the dataset."""
    lines = []
    for number, (height, width) in enumerate(sizes):
        rng = np.random.default_rng(number)
        patches = rng.integers(256, size=(height // COARSE + 1, width // COARSE + 1, 3))
        image = cv2.resize(patches.astype(np.uint8), (width, height))
        grain = np.empty_like(image, np.int8)
        cv2.randn(grain, 0, NOISE)
        image = cv2.add(image, grain, dtype=cv2.CV_8U)
        name = f"{number:05d}.jpg"
        cv2.imwrite(str(folder / name), image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        box = [width // 4, height // 4, width // 2, height // 2]
        lines.append(json.dumps({"image": name, "objects": [{"class": "object", "box": box}]}))
    file = folder / "photographs.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    return JSONLines(str(file))
