"""The digest of a dataset's annotations: what it depends on."""

import json

import cv2
import numpy as np
import pytest

from detkit.data import COCO, Shapes
from detkit.data.digest import digest_of


class Changed(Shapes):
    """Shapes of which one value of one image is another."""

    def __init__(self, **changes):
        super().__init__(length=3, seed=1)
        self.changes = changes

    def annotation(self, index):
        known = super().annotation(index)
        if index != 1:
            return known
        return known._replace(**{name: change(known) for name, change in self.changes.items()})


CHANGES = {
    "image_id": lambda known: "other",
    "width": lambda known: known.width + 1,
    "boxes": lambda known: known.boxes + np.float32(0.5),
    "labels": lambda known: (known.labels + 1) % 6,
    "difficult": lambda known: ~known.difficult,
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_value_counts(name):
    plain = digest_of(Shapes(length=3, seed=1))
    assert digest_of(Changed()) == plain
    assert digest_of(Changed(**{name: CHANGES[name]})) != plain


def test_the_number_of_images_and_the_classes_count():
    found = {digest_of(Shapes(length=length, seed=1)) for length in (2, 3)}
    other = Shapes(length=3, seed=1)
    other.class_names = Shapes.class_names[::-1]
    assert len(found | {digest_of(other)}) == 3


def test_the_place_and_the_layout_of_the_files_do_not(tmp_path):
    content = {
        "images": [{"id": 7, "file_name": "a.png", "width": 20, "height": 10}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 8, 4]}],
    }
    digests = set()
    for name, indent in (("here", None), ("there", 2)):
        folder = tmp_path / name
        folder.mkdir()
        cv2.imwrite(str(folder / "a.png"), np.zeros((10, 20, 3), np.uint8))
        (folder / "a.json").write_text(json.dumps(content, indent=indent))
        digests.add(digest_of(COCO(str(folder / "a.json"), str(folder))))
    assert len(digests) == 1
