"""Parts of an image by SSD's rule, and larger canvases."""

import numpy as np
import pytest

from detkit.data.augment import Expand, RandomCrop
from detkit.data.augment.crop import LARGEST_CANVAS
from detkit.data.sample import Sample, unlabelled
from detkit.detections.overlap import pairwise_iou

BOXES = np.array([[10, 10, 50, 40], [60, 30, 90, 70], [2, 70, 12, 78]], np.float32)


def places():
    """An image whose pixels say where they are: red is the column, green the row."""
    rows, columns = np.mgrid[:80, :100]
    image = np.stack([columns, rows, np.zeros_like(rows)], axis=2).astype(np.uint8)
    labels, difficult = np.arange(3, dtype=np.int32), np.zeros(3, bool)
    return Sample("places", image, BOXES, labels, difficult)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("least", [0, 0.1, 0.4])
def test_a_part_follows_the_rule_of_ssd(least):
    crop, sample, cut = RandomCrop((least,), p=1), places(), 0
    for seed in range(40):
        part = crop(sample, rng(seed))
        if part is sample:
            continue
        cut += 1
        height, width = part.image.shape[:2]
        x, y = part.image[0, 0, :2].astype(int)
        window = np.array([[x, y, x + width, y + height]], np.float32)
        np.testing.assert_array_equal(part.image, sample.image[y : y + height, x : x + width])
        assert 0.09 < height * width / 8000 <= 1
        assert 0.45 < (width / 100) / (height / 80) < 2.2
        assert pairwise_iou(window, BOXES).max() >= least
        inside = np.clip(BOXES - [x, y, x, y], 0, [width, height] * 2)
        seen = ((inside[:, 2:] - inside[:, :2]) > 0).all(axis=1)
        np.testing.assert_array_equal(part.labels, np.flatnonzero(seen))
        np.testing.assert_array_equal(part.boxes, inside[seen])
        centres = (BOXES[:, :2] + BOXES[:, 2:]) / 2
        within = ((centres >= window[0, :2]) & (centres < window[0, 2:])).all(axis=1)
        assert within.any()
        np.testing.assert_array_equal(part.difficult, ~within[seen])
    assert cut > 30


def test_a_part_of_an_empty_image_is_any_part():
    empty = unlabelled(places().image)
    sizes = {RandomCrop((0.9,), p=1)(empty, rng(seed)).image.shape for seed in range(10)}
    assert len(sizes) > 5
    assert RandomCrop(p=0)(empty, rng()) is empty


def test_an_image_of_one_pixel_stays():
    pixel = unlabelled(np.zeros((1, 1, 3), np.uint8))
    assert RandomCrop(p=1)(pixel, rng()).image.shape == (1, 1, 3)
    assert Expand(p=1)(pixel, rng()).image.shape[0] in range(1, 5)


def test_expand_puts_the_image_on_a_canvas():
    sample, ratios = places(), []
    for seed in range(20):
        canvas = Expand(fill=(1, 2, 3), p=1)(sample, rng(seed))
        height, width = canvas.image.shape[:2]
        ratios.append(width / 100)
        assert height / 80 == pytest.approx(width / 100, abs=0.02)
        x, y = (canvas.boxes - BOXES)[0, :2].astype(int)
        np.testing.assert_array_equal(canvas.image[y : y + 80, x : x + 100], sample.image)
        around = np.ones((height, width), bool)
        around[y : y + 80, x : x + 100] = False
        assert (canvas.image[around] == [1, 2, 3]).all()
        np.testing.assert_array_equal(canvas.boxes - BOXES, [[x, y, x, y]] * 3)
    assert 1 <= min(ratios) < 1.6 and 3 < max(ratios) <= 4
    assert Expand(p=0)(sample, rng()) is sample


def test_the_canvas_of_a_large_image_is_bounded():
    large = unlabelled(np.zeros((1500, 2000, 3), np.uint8))
    shape = Expand((4, 4), p=1)(large, rng()).image.shape
    assert 0.99 * LARGEST_CANVAS < shape[0] * shape[1] <= LARGEST_CANVAS
    larger = unlabelled(np.zeros((2000, 2500, 3), np.uint8))
    assert Expand((4, 4), p=1)(larger, rng()).image.shape == larger.image.shape


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomCrop(()), r"iou: .*found \(\)"),
        (lambda: RandomCrop((1,)), r"iou: .*\[0, 1\), found \(1,\)"),
        (lambda: RandomCrop(size=(0, 1)), r"size: .*\[0.001, 1\], found \(0, 1\)"),
        (lambda: RandomCrop(aspect=(0.5, 20)), r"aspect: .*\[0.1, 10\]"),
        (lambda: Expand((0.5, 2)), r"ratio: .*\[1, 10\], found \(0.5, 2\)"),
        (lambda: Expand(p=-1), "p: .*found -1"),
    ],
)
def test_senseless_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
