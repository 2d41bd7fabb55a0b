"""Masks in batches: asked for, padded, and moved along with their boxes."""

import numpy as np
import pytest

from detkit.data import Annotation, HorizontalFlip, Loader, Resize, Sample, Shapes, make_batch
from detkit.errors import DataError


def picture(height, width, count, difficult=()):
    rng = np.random.default_rng(count)
    return Sample(
        "picture",
        np.zeros((height, width, 3), np.uint8),
        np.zeros((count, 4), np.float32),
        np.arange(count, dtype=np.int32),
        np.isin(np.arange(count), difficult),
        rng.integers(0, 2, (count, height, width), dtype=np.uint8),
    )


class OneImage:
    """An image of 60 x 40 pixels (height, width), annotated as 40 x 60."""

    class_names = ("thing",)
    dropped, bad_images = [], []

    def __init__(self, masks):
        self._masks = masks

    def __len__(self):
        return 1

    def annotation(self, index):
        boxes = np.array([[0, 0, 60, 40], [50, 0, 60, 40]], np.float32)
        return Annotation("turned", 60, 40, boxes, np.zeros(2, np.int32), np.zeros(2, bool))

    def image(self, index):
        return np.zeros((60, 40, 3), np.uint8)

    def masks(self, index):
        return self._masks


def test_make_batch_pads_masks():
    samples = [picture(30, 65, 2), picture(40, 50, 9, difficult=[0, 8])]
    originals = [(30, 65), (40, 50)]
    batch = make_batch(samples, originals)
    assert (batch.masks.shape, batch.masks.dtype) == ((2, 16, 64, 96), np.uint8)
    np.testing.assert_array_equal(batch.masks[0, :2, :30, :65], samples[0].masks)
    np.testing.assert_array_equal(batch.masks[1, :9, :40, :50], samples[1].masks)
    assert batch.masks.sum() == samples[0].masks.sum() + samples[1].masks.sum()
    assert make_batch([samples[0], samples[1]._replace(masks=None)], originals).masks is None


def test_masks_come_where_they_are_asked_for_and_move_with_the_boxes():
    dataset = Shapes(6, size=(60, 90), empty=0)
    assert next(Loader(dataset, [], 2).batches(0)).masks is None
    loader = Loader(dataset, [Resize(120, 180), HorizontalFlip(1)], 2, masks=True)
    for batch in loader.batches(0):
        for row, slot in zip(*np.nonzero(batch.labels >= 0)):
            rows, columns = np.nonzero(batch.masks[row, slot])
            tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert tight == batch.boxes[row, slot].tolist()


def test_masks_are_clipped_and_dropped_with_their_boxes():
    dataset = OneImage(np.ones((2, 40, 60), np.uint8))
    batch = next(Loader(dataset, [], 1, masks=True).batches(0))
    assert batch.labels[0].tolist() == [0] + [-1] * 7
    assert batch.masks[0, 0, :40, :40].all()
    assert batch.masks.sum() == 40 * 40


def test_a_dataset_without_masks_is_told():
    with pytest.raises(DataError, match="OneImage: .*masks.*COCO"):
        next(Loader(OneImage(None), [], 1, masks=True).batches(0))
