"""Spoilt pixels: objects stay where they are, and covered ones become difficult."""

import cv2
import numpy as np
import pytest

from detkit.data.augment import JPEG, Blur, Cutout, Greyscale, Noise
from detkit.data.keypoints import Keypoints
from detkit.data.sample import Sample

SPOILING = [Blur, Noise, JPEG, Greyscale]


@pytest.fixture
def sample():
    noise = np.random.default_rng(0).integers(0, 256, (10, 15, 3), dtype=np.uint8)
    image = cv2.resize(noise, (60, 40), interpolation=cv2.INTER_CUBIC)
    boxes = np.array([[0, 0, 60, 40], [50, 30, 60, 40]], np.float32)
    points = np.array([[[30, 20, 2], [0, 0, 0]], [[55, 35, 1], [60, 40, 2]]], np.float32)
    return Sample(
        image_id="a",
        image=image,
        boxes=boxes,
        labels=np.array([1, 0], np.int32),
        difficult=np.zeros(2, bool),
        fields={"keypoints": Keypoints(points, [(0, 1), (1, 0)])},
    )


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", SPOILING)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_only_the_pixels_change(sample, kind, dtype):
    sample = sample._replace(image=sample.image.astype(dtype))
    spoilt = kind(p=1)(sample, rng(1))
    assert spoilt.image.dtype == dtype and spoilt.image.shape == sample.image.shape
    assert spoilt.image.min() >= 0 and spoilt.image.max() <= 255
    assert not np.array_equal(spoilt.image, sample.image)
    assert spoilt.boxes is sample.boxes and spoilt.fields is sample.fields
    assert kind(p=0)(sample, rng()) is sample
    changed = sum(kind(p=0.3)(sample, generator) is not sample for generator in [rng()] * 300)
    assert 60 < changed < 120


def test_blur_keeps_the_mean_and_takes_the_detail(sample):
    blurred = Blur((3, 3), p=1)(sample, rng()).image
    assert blurred.mean() == pytest.approx(sample.image.mean(), abs=3)
    assert blurred.std() < 0.7 * sample.image.std()


def test_noise_has_its_deviation(sample):
    grey = sample._replace(image=np.full((200, 200, 3), 128, np.uint8))
    assert Noise((10, 10), p=1)(grey, rng()).image.std() == pytest.approx(10, rel=0.02)
    np.testing.assert_array_equal(Noise((0, 0), p=1)(grey, rng()).image, grey.image)


def test_jpeg_is_worse_the_lower_its_quality(sample):
    def error(quality):
        spoilt = JPEG((quality, quality), p=1)(sample, rng()).image.astype(float)
        return np.abs(spoilt - sample.image).mean()

    assert 0 < error(100) < error(50) < error(5)
    # Red stays red: the channels are in their order.
    red = sample._replace(image=np.full((16, 16, 3), (200, 20, 20), np.uint8))
    np.testing.assert_allclose(JPEG((95, 95), p=1)(red, rng()).image, red.image, atol=3)
    long = sample._replace(image=np.zeros((1, 65501, 3), np.uint8))
    assert JPEG(p=1)(long, rng()) is long


def test_greyscale_is_the_luma_of_bt_601(sample):
    grey = Greyscale(p=1)(sample, rng()).image
    luma = sample.image @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(grey, np.repeat(luma[..., None], 3, axis=2), atol=0.6)


def test_cutout_covers_squares(sample):
    cutout = Cutout(holes=1, side=(0.5, 0.5), fill=(1, 2, 3), p=1)
    for seed in range(10):
        cut = cutout(sample, rng(seed))
        covered = (cut.image == [1, 2, 3]).all(axis=2)
        x, y, width, height = cv2.boundingRect(covered.astype(np.uint8))
        assert covered.sum() == width * height and 9 <= max(width, height) <= 21
        np.testing.assert_array_equal(cut.image[~covered], sample.image[~covered])
        assert cut.boxes is sample.boxes
        assert cut.difficult.tolist() == [False, covered[30:, 50:].mean() > 0.9]
        before, after = (each.fields["keypoints"].points[..., 2] for each in (sample, cut))
        at = covered[[[20, 0], [35, 39]], [[30, 0], [55, 59]]]
        np.testing.assert_array_equal(after, np.where(at, np.minimum(before, 1), before))
    assert Cutout(p=0)(sample, rng()) is sample


def test_what_a_hole_covers_is_difficult(sample):
    assert Cutout(holes=100, side=(1, 1), p=1)(sample, rng()).difficult.all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Blur((0, 1)), r"sigma: .*\[0.01, 100\], found \(0, 1\)"),
        (lambda: Noise((0, 300)), r"sigma: .*\[0, 255\], found \(0, 300\)"),
        (lambda: JPEG((0, 50)), r"quality: .*\[1, 100\], found \(0, 50\)"),
        (lambda: Greyscale(1.1), "p: .*found 1.1"),
        (lambda: Cutout(holes=0), "holes: .*1 to 100, found 0"),
        (lambda: Cutout(side=(0, 2)), r"side: .*\[0, 1\], found \(0, 2\)"),
    ],
)
def test_senseless_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
