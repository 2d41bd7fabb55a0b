"""A folder of JPEGs with large, bright rectangles, as a dataset of JSON lines."""

import json

import cv2
import numpy as np

from detkit.data import JSONLines, Loader, Resize

DARK, BRIGHT = 40, 220


def write_photographs(folder, sizes, quality=95):
    """Writes an image of each (height, width) with two rectangles; returns the dataset's file."""
    folder.mkdir(exist_ok=True)
    lines = []
    for number, (height, width) in enumerate(sizes):
        image = np.full((height, width, 3), DARK, np.uint8)
        boxes = [
            [width // 8, height // 8, width // 3, height // 2],
            [width // 2, height // 2, width, height],
        ]
        for x1, y1, x2, y2 in boxes:
            image[y1:y2, x1:x2] = BRIGHT
        name = f"{number}.jpg"
        cv2.imwrite(str(folder / name), image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        polygons = [[[x1, y1, x2, y1, x2, y2, x1, y2]] for x1, y1, x2, y2 in boxes]
        objects = [{"class": "thing", "polygons": polygon} for polygon in polygons]
        lines.append(json.dumps({"image": name, "objects": objects}))
    file = folder / "photographs.jsonl"
    file.write_text("\n".join(lines))
    return file


def photographs(folder, sizes, **options):
    """The dataset of ``write_photographs``."""
    return JSONLines(str(write_photographs(folder, sizes, **options)))


def bright_part(image):
    """x1 y1 x2 y2 of the bright pixels within an image (H, W, 3), to a part of a pixel."""
    share = np.clip((image.mean(axis=2) - DARK) / (BRIGHT - DARK), 0, 1)
    rows, columns = share.max(axis=1), share.max(axis=0)
    ends = []
    for line in (columns, rows):
        lit = np.flatnonzero(line > 0.1)
        first, last = lit[0], lit[-1]
        ends.append((first + 1 - line[first], last + line[last]))
    (x1, x2), (y1, y2) = ends
    return np.array([x1, y1, x2, y2])


def counted(dataset):
    """The dataset with a count of the images that it decodes."""

    class Counted(type(dataset)):
        decoded = 0

        def image(self, index):
            self.decoded += 1
            return super().image(index)

        def image_path(self, index):
            return super().image_path(index)

        def reduced_image(self, index, factor):
            self.decoded += 1
            return super().reduced_image(index, factor)

    dataset.__class__ = Counted
    return dataset


def batches(dataset, cache=None, epoch=0, workers=0, reduced=False):
    """The batches of an epoch, resized to 100 pixels."""
    options = {"workers": workers, "reduced_decoding": reduced, "cache": cache}
    return list(Loader(dataset, [Resize(100, 1000)], 2, shuffle=True, **options).batches(epoch))


def cv2_image(path):
    """The image of a file as OpenCV reads it, RGB."""
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
