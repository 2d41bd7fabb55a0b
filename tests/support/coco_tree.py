"""Two images in COCO's layout, and the file that is written of them."""

import json

import cv2
import numpy as np
import pytest

from detkit.data import COCO
from detkit.errors import DataError

SQUARE = [[10, 5, 30, 5, 30, 25, 10, 25]]


def thing(box=(10, 5, 20, 20), category=7, image=1, **fields):
    entry = {"image_id": image, "category_id": category, "bbox": list(box), "segmentation": SQUARE}
    return {**entry, **fields}


class Tree:
    """Two images of 60 x 40 pixels, and the file that is written of them."""

    def __init__(self, root):
        self.file, self.folder = root / "instances.json", root / "images"
        self.folder.mkdir()
        self.content = {
            "images": [
                {"id": image, "file_name": f"{image}.jpg", "width": 60, "height": 40}
                for image in (1, 2)
            ],
            "categories": [{"id": 90, "name": "owl"}, {"id": 7, "name": "cat"}],
        }
        for image in (1, 2):
            pixels = np.full((40, 60, 3), 90, np.uint8)
            cv2.imwrite(str(self.folder / f"{image}.jpg"), pixels)

    def read(self, *things, **changes):
        content = {**self.content, "annotations": list(things or [thing()]), **changes}
        self.file.write_text(json.dumps(content))
        return COCO(str(self.file), str(self.folder))

    def refused(self, *things, **changes):
        with pytest.raises(DataError) as caught:
            self.read(*things, **changes)
        assert str(self.file) in str(caught.value)
        return str(caught.value)
