"""Chains of transforms: boxes, masks, keypoints and proposals stay with their objects."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detkit.data import HorizontalFlip, Loader, Photometric, Resize, VerticalFlip
from detkit.data.augment import (
    JPEG,
    Affine,
    AspectCrop,
    Blur,
    CopyPaste,
    Cutout,
    Expand,
    Greyscale,
    MixUp,
    Mosaic,
    Noise,
    RandomCrop,
    ScaleJitter,
)
from detkit.data.caches import MemoryCache
from support.painted import Painted, colour

GEOMETRY = [
    HorizontalFlip(),
    VerticalFlip(),
    RandomCrop(),
    RandomCrop((0,), size=(0.05, 0.2)),
    AspectCrop(1.5, 3),
    AspectCrop(0.3, 0.6),
    Expand((1, 2)),
    Affine(),
    Affine(angle=180, shear=20, scale=(0.7, 2), translate=0.4),
    ScaleJitter((64, 80), (0.3, 2.5)),
    Mosaic((70, 60), p=0.5),
    CopyPaste(p=0.7),
]
OTHERS = [
    *(Blur(), Noise(), JPEG(), Greyscale(1), Photometric()),
    *(Cutout(), MixUp(p=0.5), MixUp(alpha=0.2, p=1)),
]
DATASET = Painted(6)
PROPOSALS = {
    index: np.concatenate([DATASET.annotation(index).boxes, [[3, 3, 30, 20]]]).astype("f")
    for index in range(len(DATASET))
}


def samples(transforms, seed=0, **options):
    """The samples of an epoch as they leave the transforms, and the batches."""
    seen = []

    def record(sample, rng):
        seen.append(sample)
        return sample

    options = {"masks": True, "fields": ["keypoints"], "proposals": PROPOSALS, **options}
    batches = list(Loader(DATASET, [*transforms, record], 2, seed=seed, **options).batches(0))
    assert len(seen) == len(DATASET)
    return seen, batches


def assert_whole(sample):
    height, width = sample.image.shape[:2]
    assert (sample.image.dtype, sample.boxes.dtype) == (np.uint8, np.float32)
    for boxes in (sample.boxes, sample.proposals):
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= [width, height]).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert sample.masks.shape == (len(sample.boxes), height, width)
    for mask, box in zip(sample.masks, sample.boxes):
        x, y, w, h = cv2.boundingRect(mask)
        np.testing.assert_allclose(box, [x, y, x + w, y + h], atol=1)
    points = sample.fields["keypoints"].points
    assert points.shape == (len(sample.boxes), 2, 3)
    labelled = points[points[..., 2] > 0]
    assert (labelled[:, :2] >= 0).all() and (labelled[:, :2] <= [width, height]).all()


def assert_own_colour(sample):
    """The pixels of a mask have its object's colour, and so has the place of a visible keypoint."""
    for mask, label, points in zip(
        sample.masks, sample.labels, sample.fields["keypoints"].points.copy()
    ):
        inner = cv2.erode(mask, np.ones((3, 3), np.uint8))
        if inner.sum() > 8:  # interpolation mixes the colours at the border
            found = np.median(sample.image[inner > 0], axis=0)
            np.testing.assert_allclose(found, colour(label), atol=45)
        around = cv2.dilate(mask, np.ones((9, 9), np.uint8))
        for x, y, flag in points:
            if flag == 2:
                assert around[int(min(y, len(mask) - 1)), int(min(x, mask.shape[1] - 1))]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from(GEOMETRY), max_size=3), st.integers(0, 10**6))
def test_objects_keep_their_pixels(chain, seed):
    for sample in samples(chain, seed)[0]:
        assert_whole(sample)
        assert_own_colour(sample)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from(GEOMETRY + OTHERS), max_size=4), st.integers(0, 10**6))
def test_what_leaves_any_chain_can_be_trained_on(chain, seed):
    for sample in samples(chain, seed)[0]:
        assert_whole(sample)
    without = [each for each in chain if not isinstance(each, CopyPaste)]
    for sample in samples([*without, Resize(50, 80)], seed, masks=False)[0]:
        assert sample.masks is None
        sides = sample.boxes[:, 2:] - sample.boxes[:, :2]
        assert (sides > 0).all() and len(sample.labels) == len(sample.boxes)


@pytest.mark.parametrize("transform", GEOMETRY + OTHERS, ids=lambda each: type(each).__name__)
def test_each_changes_something_and_leaves_its_input(transform):
    before = [np.copy(DATASET.image(index)) for index in range(len(DATASET))]
    plain, changed = samples([])[0], samples([transform])[0]
    for index, image in enumerate(before):
        np.testing.assert_array_equal(DATASET.image(index), image)
    differs = [not np.array_equal(a.image, b.image) for a, b in zip(plain, changed)]
    assert any(differs)
    again = samples([transform], cache=MemoryCache())[0]
    for one, other in zip(changed, again):
        np.testing.assert_array_equal(one.image, other.image)


@pytest.mark.parametrize("transform", GEOMETRY + OTHERS, ids=lambda each: type(each).__name__)
def test_images_of_floats_stay_floats(transform):
    for sample in samples([Resize(40, 60, like="torchvision"), transform])[0]:
        assert sample.image.dtype == np.float32
        assert sample.image.min() >= 0 and sample.image.max() <= 255.001  # as float32 rounds


EVERY = [
    *(Mosaic((60, 70)), Photometric(), RandomCrop(), Expand((1, 2)), Affine(), HorizontalFlip()),
    *(CopyPaste(), Cutout(), Blur(), Noise(), JPEG(), Greyscale(), MixUp(p=0.5)),
    ScaleJitter((64, 64)),
]


@pytest.fixture(scope="module")
def epoch():
    return samples(EVERY)[1]


def assert_same(one, other):
    mine, theirs = ({**batch._asdict(), **batch.fields, "fields": None} for batch in (one, other))
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)


@pytest.mark.parametrize("workers", [1, 4])
def test_any_number_of_threads_gives_the_same_bits(epoch, workers):
    for one, other in zip(epoch, samples(EVERY, workers=workers)[1]):
        assert_same(one, other)


@pytest.mark.parametrize("workers", [0, 4])
def test_a_run_goes_on_with_the_same_bits(epoch, workers):
    options = {"masks": True, "fields": ["keypoints"], "proposals": PROPOSALS}
    loader = Loader(DATASET, EVERY, 2, workers=workers, **options)
    resumed = list(loader.batches(0, start=2))
    assert len(resumed) == len(epoch) - 2
    for one, other in zip(epoch[2:], resumed):
        assert_same(one, other)
