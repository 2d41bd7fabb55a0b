"""What a transform returns is checked: one that spoils a sample is named with the image."""

import numpy as np
import pytest

from detkit.data.sample import Sample
from detkit.data.transforms import HorizontalFlip, apply
from detkit.errors import DataError


def rng():
    return np.random.default_rng(0)


class Spoils:
    """A transform that replaces fields of a sample."""

    def __init__(self, **fields):
        self.fields = fields

    def __call__(self, sample, rng):
        return sample._replace(**self.fields)


def whole():
    boxes = np.array([[1, 2, 30, 20], [5, 5, 9, 9]], np.float32)
    labels, difficult = np.zeros(2, np.int32), np.zeros(2, bool)
    masks = np.zeros((2, 40, 60), np.uint8)
    return Sample("street", np.zeros((40, 60, 3), np.uint8), boxes, labels, difficult, masks)


BOXES = "boxes with an area in the image of 60 x 40 pixels"
FAULTS = {
    "no area": ({"boxes": np.float32([[1, 2, 30, 20], [5, 5, 5, 9]])}, f"{BOXES}.*5.0, 5.0, 5.0"),
    "turned": ({"boxes": np.float32([[1, 2, 30, 20], [9, 5, 5, 9]])}, BOXES),
    "outside": ({"boxes": np.float32([[1, 2, 30, 20], [61, 5, 70, 9]])}, BOXES),
    "not finite": ({"boxes": np.float32([[1, 2, 30, 20], [1, 5, np.nan, 9]])}, BOXES),
    "a box too few": ({"boxes": np.float32([[1, 2, 30, 20]])}, r"G labels.*\(1, 4\) and \[2, 2\]"),
    "no corners": ({"boxes": np.zeros((2, 5), np.float32)}, r"boxes \(G, 4\).*\(2, 5\)"),
    "masks of before": (
        {"image": np.zeros((20, 60, 3), np.uint8)},
        r"\(2, 20, 60\).*\(2, 40, 60\)",
    ),
    "a grey image": ({"image": np.zeros((40, 60), np.uint8)}, r"image \(H, W, 3\).*\(40, 60\)"),
    "no pixel": ({"image": np.zeros((0, 60, 3), np.uint8)}, r"image \(H, W, 3\).*\(0, 60, 3\)"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_transform_that_spoils_a_sample_is_named(kind):
    fields, message = FAULTS[kind]
    with pytest.raises(DataError, match=f"image 'street': transform Spoils: expected .*{message}"):
        apply([HorizontalFlip(), Spoils(**fields), HorizontalFlip()], whole(), rng())


def test_a_transform_that_returns_nothing_is_named():
    def forgets(sample, rng):
        sample.move_boxes(lambda boxes: boxes + 1)

    with pytest.raises(DataError, match="transform forgets: expected a Sample, found NoneType"):
        apply([forgets], whole(), rng())


def test_a_transform_is_not_blamed_for_what_it_was_given():
    outside = whole()._replace(boxes=np.float32([[1, 2, 30, 20], [61, 5, 70, 9]]))
    flipped = apply([HorizontalFlip(1.0)], outside, rng())
    assert flipped.boxes[1, 0] < 0


def test_boxes_that_reach_over_the_edge_are_no_fault():
    boxes = np.float32([[-5, -5, 30, 20], [50, 30, 70, 50]])
    assert (apply([Spoils(boxes=boxes)], whole(), rng()).boxes == boxes).all()
