"""The masks of VOC's objects: two kinds of files, and those that do not fit."""

import cv2
import numpy as np
import pytest

from detkit.data import VOC
from detkit.errors import DataError
from support.layouts import make

COLOURS = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 255: (224, 224, 192)}  # VOC's palette


@pytest.fixture
def folder(tmp_path):
    """Three images; the first has a cat and a dog."""
    folder = make(tmp_path, "voc")
    for name in ("SegmentationObject", "ImageSets/Segmentation"):
        (folder / name).mkdir()
    (folder / "ImageSets/Segmentation/train.txt").write_text("a\n")
    return folder


def write(folder, numbers, palette=True):
    """Writes the masks of image a, numbers (H, W), as the colours of the palette or as grey."""
    pixels = np.array(numbers, np.uint8)
    if palette:
        pixels = np.zeros((*pixels.shape, 3), np.uint8)
        for number, (red, green, blue) in COLOURS.items():
            pixels[np.array(numbers) == number] = blue, green, red
    cv2.imwrite(str(folder / "SegmentationObject/a.png"), pixels)


def read(folder, **options):
    return VOC(str(folder), ["train"], **options)


@pytest.mark.parametrize("palette", [True, False])
def test_masks_follow_the_order_of_the_objects(folder, palette):
    numbers = np.zeros((40, 60), int)
    numbers[:9, :9], numbers[:9, 10:20], numbers[9] = 1, 2, 255
    write(folder, numbers, palette)
    both = read(folder, masks=True)
    assert len(both) == 1
    assert both.masks(0).dtype == np.uint8
    np.testing.assert_array_equal(both.masks(0), [numbers == 1, numbers == 2])
    dog = read(folder, masks=True, class_names=["dog"])
    np.testing.assert_array_equal(dog.masks(0), [numbers == 2])
    assert read(folder).masks(0) is None
    assert len(read(folder)) == 3


def test_masks_that_do_not_fit_are_refused(folder):
    numbers = np.zeros((40, 60), int)
    write(folder, numbers)
    file = folder / "SegmentationObject/a.png"
    for change, says in (
        (lambda: write(folder, numbers + 3, palette=False), "the numbers of 2 objects, found 3"),
        (lambda: write(folder, numbers[1:]), "60 x 40 pixels of the image, found 60 x 39"),
        (lambda: cv2.imwrite(str(file), np.full((40, 60, 3), 7, np.uint8)), r"found \(7, 7, 7\)"),
        (lambda: file.write_bytes(b"x"), "a.png: expected JPEG, PNG"),
        (file.unlink, "1 cannot be used.*a.png: no such file"),
    ):
        change()
        with pytest.raises(DataError, match=says):
            read(folder, masks=True).masks(0)


def test_the_lists_are_those_of_segmentation(folder):
    (folder / "ImageSets/Segmentation/train.txt").unlink()
    with pytest.raises(DataError, match="ImageSets/Segmentation/train.txt: "):
        read(folder, masks=True)
