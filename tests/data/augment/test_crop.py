"""Parts of an image by SSD's rule or of a bounded aspect, and larger canvases."""

import numpy as np
import pytest

from detkit.data.augment import AspectCrop, Expand, RandomCrop
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


def strip(boxes, width=300, height=60, difficult=None):
    """An image of which red is column % 256 and green the row."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([columns % 256, rows % 256, columns // 256], axis=2).astype(np.uint8)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    ignored = np.zeros(len(boxes), bool) if difficult is None else np.array(difficult)
    return Sample("strip", image, boxes, np.arange(len(boxes), dtype=np.int32), ignored)


def turned(sample):
    """The Sample with x and y exchanged."""
    return sample._replace(
        image=sample.image.transpose(1, 0, 2), boxes=sample.boxes[:, [1, 0, 3, 2]]
    )


def starts_of(crop, sample, size, number=60):
    """The first columns of the parts that are drawn of an image and, turned, of its mirror."""
    found = []
    for seed in range(number):
        part = crop(sample, rng(seed))
        upright = AspectCrop(1 / crop.high, 1 / crop.low)(turned(sample), rng(seed))
        assert part.image.shape[:2] == size
        np.testing.assert_array_equal(turned(upright).image, part.image)
        np.testing.assert_array_equal(turned(upright).boxes, part.boxes)
        start = int(part.image[0, 0, 0]) + 256 * int(part.image[0, 0, 2])
        np.testing.assert_array_equal(part.image, sample.image[:, start : start + size[1]])
        within = np.clip(sample.boxes - [start, 0, start, 0], 0, [size[1], size[0]] * 2)
        np.testing.assert_array_equal(part.boxes, within[part.labels])
        found.append((start, part))
    return found


def test_a_part_of_bounded_aspect_has_all_objects_if_they_fit():
    boxes = [[100, 5, 130, 40], [150, 20, 199.5, 50]]
    found = starts_of(AspectCrop(0.5, 2), strip(boxes), (60, 120))
    starts = [start for start, _ in found]
    assert min(starts) >= 80 and max(starts) <= 100  # 200 - 120, and the first object's side
    assert len(set(starts)) > 12
    assert all(len(part.boxes) == 2 and not part.difficult.any() for _, part in found)


def test_a_part_of_bounded_aspect_keeps_one_object_whole_if_not_all_fit():
    boxes = [[0, 5, 20, 40], [280, 5, 300, 50], [140, 0, 150, 50]]
    seen = set()
    for _, part in starts_of(AspectCrop(0.5, 2), strip(boxes), (60, 120)):
        whole = {tuple(side) for side in (part.boxes[:, 2:] - part.boxes[:, :2]).tolist()}
        assert whole & {(20, 35), (20, 45), (10, 50)}
        seen |= set(part.labels.tolist())
    assert seen == {0, 1, 2}


def test_a_part_of_bounded_aspect_lies_within_a_longer_object():
    starts = [
        start for start, _ in starts_of(AspectCrop(1, 1), strip([[50, 0, 200, 60]]), (60, 60))
    ]
    assert 50 <= min(starts) < 70 and 120 < max(starts) <= 140


def test_without_objects_a_part_of_bounded_aspect_is_anywhere():
    for sample in (strip([]), strip([[0, 0, 9, 9]], difficult=[True])):
        starts = [start for start, _ in starts_of(AspectCrop(1, 1), sample, (60, 60))]
        assert min(starts) < 40 and max(starts) > 200


def test_an_image_within_the_bounds_stays():
    for sample in (strip([], 120, 60), strip([], 60, 120), strip([], 1, 1)):
        assert AspectCrop(0.5, 2)(sample, rng()) is sample
    assert AspectCrop(0.99, 0.99)(strip([], 100, 100), rng()).image.shape[:2] == (100, 99)
    assert AspectCrop(10, 10)(strip([], 3, 3), rng()).image.shape[:2] == (1, 3)
    for bad in ((2, 1), (0, 1), (1, 11)):
        with pytest.raises(ValueError, match="low, high"):
            AspectCrop(*bad)


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
