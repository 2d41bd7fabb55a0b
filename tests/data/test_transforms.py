"""Transforms: images, boxes and masks move together, chance comes from the generator alone."""

import cv2
import mxnet as mx
import numpy as np
import pytest

from detkit.data.sample import Sample
from detkit.data.transforms import HorizontalFlip, Photometric, Resize, VerticalFlip, apply

EVERY = [
    Resize(50, 90),
    Resize((30, 40, 50), 90),
    HorizontalFlip(1),
    VerticalFlip(1),
    Photometric(p=1),
]


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    masks = np.zeros((2, 40, 60), np.uint8)
    masks[0, 5:20, 10:30] = 1
    masks[1, 30:40, 50:60] = 1
    return Sample(
        image_id="a",
        image=rng.integers(0, 256, (40, 60, 3), dtype=np.uint8),
        boxes=np.array([[10, 5, 30, 20], [50, 30, 60, 40]], np.float32),
        labels=np.array([1, 0], np.int32),
        difficult=np.array([False, True]),
        masks=masks,
    )


def without_objects(image):
    boxes, labels, difficult = (
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.int32),
        np.zeros(0, bool),
    )
    return Sample(
        "empty", image, boxes, labels, difficult, np.zeros((0,) + image.shape[:2], np.uint8)
    )


def box_of(mask):
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    "size, short, long, expected",
    [
        ((375, 500), 600, 1000, (600, 800)),
        ((500, 375), 600, 1000, (800, 600)),
        ((300, 900), 600, 1000, (333, 1000)),
        ((480, 640), 100, 1000, (100, 133)),
        ((1, 1000), 10, 20, (1, 20)),
    ],
)
def test_resize_follows_the_shorter_side_up_to_the_longer(size, short, long, expected):
    sample = without_objects(np.zeros(size + (3,), np.uint8))
    assert Resize(short, long)(sample, rng()).image.shape == expected + (3,)


def test_resize_as_torchvision():
    row = (np.arange(640) * 37 % 256).astype(np.uint8)
    image = np.broadcast_to(row[None, :, None], (480, 640, 3))
    resized = Resize(800, 1333, like="torchvision")(without_objects(image), rng()).image
    assert resized.shape == (800, 1066, 3)  # 1066.67 rounded down
    assert resized.dtype == np.float32
    # torch's interpolate of the same; OpenCV's differs by 0.006 at the last four
    columns = [0, 1, 500, 777, 1065, 864, 957, 1061, 946]
    torch = [0.0, 14.8208256, 91.5483398, 100.7946777, 91.0]
    torch += [107.1533279, 167.3102417, 61.1635742, 77.6138306]
    for channel in range(3):
        np.testing.assert_allclose(resized[300, columns, channel], torch, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "short", "long", "expected"),
    [
        ((480, 640), 800, 1333, (800, 1067)),
        ((90, 200), 60, 100, (45, 100)),
        ((300, 150), 30, 1000, (60, 30)),
        ((3, 9), 1, 9, (1, 3)),
        ((2, 5), 1, 9, (1, 3)),  # 2.5 goes up
    ],
)
def test_resize_as_detectron2_is_pillows(size, short, long, expected):
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    image = rng().integers(0, 256, (*size, 3), dtype=np.uint8)
    resized = Resize(short, long, like="detectron2")(without_objects(image), rng()).image
    assert resized.shape == (*expected, 3)
    assert resized.dtype == np.uint8
    theirs = pillow.fromarray(image).resize(expected[::-1], pillow.BILINEAR)
    np.testing.assert_array_equal(resized, np.asarray(theirs))


def test_resize_is_like_what_is_known():
    with pytest.raises(ValueError, match="like: .*torchvision, .*null, found 'caffe'"):
        Resize(50, 90, like="caffe")


@pytest.mark.parametrize("short", [7, 40, 90])
def test_resize_as_torchvision_is_bilinear(sample, short):
    resized = Resize(short, 1000, like="torchvision")(sample, rng()).image
    (height, width), (h, w) = sample.image.shape[:2], resized.shape[:2]
    y, x = ((np.arange(n) + 0.5) * m / n - 0.5 for n, m in ((h, height), (w, width)))
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    rows = np.maximum(0, 1 - np.abs(y[:, None] - np.arange(height)))  # (h, height)
    columns = np.maximum(0, 1 - np.abs(x[:, None] - np.arange(width)))
    expected = np.einsum("hy,yxc,wx->hwc", rows, sample.image.astype(float), columns)
    np.testing.assert_allclose(resized, expected, atol=0.01)


@pytest.mark.parametrize(
    ("size", "short"), [((24, 32), 80), ((45, 61), 200), ((60, 90), 45), ((33, 50), 7), ((1, 3), 5)]
)
def test_resize_as_gluoncv_is_mxnets_to_the_bit(size, short):
    image = np.random.RandomState(0).randint(0, 256, (*size, 3)).astype(np.uint8)
    resized = Resize(short, 1000, like="gluoncv")(without_objects(image), rng()).image
    height, width = resized.shape[:2]
    expected = mx.image.imresize(mx.nd.array(image, dtype="uint8"), width, height, interp=2)
    np.testing.assert_array_equal(resized, expected.asnumpy())


def test_resize_scales_boxes_by_the_exact_ratio_of_each_axis(sample):
    resized = Resize(37, 1000)(sample, rng())
    height, width = resized.image.shape[:2]
    assert (height, width) == (37, 56)
    expected = sample.boxes * np.float32([56 / 60, 37 / 40, 56 / 60, 37 / 40])
    np.testing.assert_allclose(resized.boxes, expected, rtol=1e-6)
    assert resized.boxes.dtype == np.float32
    # The box that touched the corner still touches it.
    assert resized.boxes[1, 2:].tolist() == [56, 37]


def test_resize_moves_masks_along(sample):
    doubled = Resize(80, 1000)(sample, rng())
    assert doubled.masks.shape == (2, 80, 120)
    for mask, box in zip(doubled.masks, doubled.boxes):
        assert box_of(mask) == box.tolist()


def test_resize_draws_one_of_several_short_sides(sample):
    resize = Resize((20, 30, 50), 1000)
    heights = {resize(sample, rng(seed)).image.shape[0] for seed in range(30)}
    assert heights == {20, 30, 50}


@pytest.mark.parametrize(
    "flip, axis, expected",
    [
        (HorizontalFlip(1), 1, [[30, 5, 50, 20], [0, 30, 10, 40]]),
        (VerticalFlip(1), 0, [[10, 20, 30, 35], [50, 0, 60, 10]]),
    ],
)
def test_flips_mirror_image_boxes_and_masks(sample, flip, axis, expected):
    flipped = flip(sample, rng())
    np.testing.assert_array_equal(flipped.image, np.flip(sample.image, axis))
    assert flipped.boxes.tolist() == expected
    for mask, box in zip(flipped.masks, flipped.boxes):
        assert box_of(mask) == box.tolist()
    twice = flip(flipped, rng())
    for before, after in zip(sample, twice):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("flip", [HorizontalFlip, VerticalFlip])
def test_flips_happen_with_their_probability(sample, flip):
    assert flip(0)(sample, rng()) is sample
    generator = rng()
    flipped = sum(flip(0.3)(sample, generator) is not sample for _ in range(400))
    assert 90 < flipped < 150


def test_photometric_matches_its_parts(sample):
    """With the other changes off, each is the simple formula."""
    off = {"brightness": 0, "contrast": (1, 1), "saturation": (1, 1), "hue": 0, "p": 1}
    pixels = sample.image.astype(np.float32)
    same = Photometric(**off)(sample, rng())
    np.testing.assert_array_equal(same.image, sample.image)

    delta = Photometric(**{**off, "brightness": 20})(sample, rng(0)).image - pixels
    inside = (pixels > 20) & (pixels < 235)
    assert np.unique(delta[inside]).size == 1 and 0 < abs(delta[inside][0]) <= 20

    halved = Photometric(**{**off, "contrast": (0.5, 0.5)})(sample, rng())
    assert np.abs(halved.image - pixels / 2).max() <= 0.5

    grey = Photometric(**{**off, "saturation": (0, 0)})(sample, rng())
    np.testing.assert_array_equal(grey.image, np.repeat(pixels.max(axis=2), 3).reshape(40, 60, 3))

    turned = Photometric(**{**off, "hue": 90})(sample, rng(2)).image
    before, after = (cv2.cvtColor(np.float32(i) / 255, cv2.COLOR_RGB2HSV) for i in (pixels, turned))
    np.testing.assert_allclose(before[..., 2], after[..., 2], atol=0.003)
    vivid = before[..., 1] * before[..., 2] > 0.5
    turns = (after[..., 0] - before[..., 0])[vivid] % 360
    assert np.ptp(turns) < 3 and 1 < turns.mean() < 359


def test_photometric_leaves_the_boxes_and_stays_in_range(sample):
    for seed in range(20):
        changed = Photometric(brightness=200, contrast=(0, 5), p=1)(sample, rng(seed))
        assert changed.image.dtype == np.uint8 and changed.boxes is sample.boxes
    as_float = sample._replace(image=sample.image.astype(np.float32))
    changed = Photometric(brightness=200, p=1)(as_float, rng())
    assert changed.image.dtype == np.float32
    assert changed.image.min() >= 0 and changed.image.max() <= 255


@pytest.mark.parametrize("transform", EVERY, ids=lambda t: type(t).__name__)
def test_the_input_stays_as_it_was_and_the_rng_decides(sample, transform):
    before = [np.copy(field) for field in sample]
    one, same = transform(sample, rng(5)), transform(sample, rng(5))
    for field, copy in zip(sample, before):
        np.testing.assert_array_equal(field, copy)
    for field, other in zip(one, same):
        np.testing.assert_array_equal(field, other)


@pytest.mark.parametrize("transform", EVERY, ids=lambda t: type(t).__name__)
def test_samples_without_objects_or_masks_pass(sample, transform):
    empty = transform(without_objects(sample.image), rng())
    assert empty.boxes.shape == (0, 4) and empty.masks.shape == (0,) + empty.image.shape[:2]
    assert transform(sample._replace(masks=None), rng()).masks is None


def test_apply_goes_from_first_to_last(sample):
    flip_then_resize = apply([HorizontalFlip(1), Resize(20)], sample, rng())
    np.testing.assert_allclose(flip_then_resize.boxes[0], [15, 2.5, 25, 10])
    assert apply([], sample, rng()) is sample


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Resize(0), "short: .*at least 1 .*found 0"),
        (lambda: Resize(()), r"short: .*found \(\)"),
        (lambda: Resize((600, 1200), 1000), "long: .*at least 1200 .*found 1000"),
        (lambda: HorizontalFlip(2), r"p: .*\[0, 1\], found 2"),
        (lambda: VerticalFlip(-1), r"p: .*\[0, 1\], found -1"),
        (lambda: Photometric(brightness=300), r"brightness: .*\[0, 255\], found 300"),
        (lambda: Photometric(hue=-5), r"hue: .*\[0, 180\], found -5"),
        (lambda: Photometric(contrast=(2, 1)), r"contrast: .*found \(2, 1\)"),
        (lambda: Photometric(saturation=(1,)), r"saturation: .*found \(1,\)"),
    ],
)
def test_senseless_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
