"""Reduced decoding: when an image is decoded smaller, and by which factor."""

import cv2
import numpy as np
import pytest

from detkit.data import Concat, OneClass, Repeat, Resize, ScaleJitter, Subset
from detkit.data.decoded import Images, offers, source_of
from detkit.data.images import decode_image
from support.photographs import photographs
from support.pictures import Pictures


@pytest.mark.parametrize(
    "size, transform, factor",
    [
        ((400, 600), Resize(400, 1000), 1),
        ((400, 600), Resize(201, 1000), 1),
        ((400, 600), Resize(200, 1000), 2),
        ((400, 600), Resize((50, 200), 1000), 2),
        ((400, 600), Resize(200, 290), 2),
        ((400, 600), Resize(100, 1000), 4),
        ((400, 600), Resize(400, 400), 1),
        ((401, 603), Resize(100, 1000), 4),
        ((400, 600), Resize(20, 1000), 8),
        ((400, 600), ScaleJitter((100, 150), (0.5, 1.0)), 4),
        ((400, 600), ScaleJitter((100, 150), (0.5, 2.0)), 2),
        ((400, 600), None, 1),
    ],
)
def test_the_factor_is_the_largest_one_that_the_first_transform_allows(
    tmp_path, size, transform, factor
):
    dataset = photographs(tmp_path, [size])
    decoded = Images(dataset, [transform] if transform else []).read(0)
    expected = tuple(-(-side // factor) for side in size)
    assert (decoded.factor, decoded.size, decoded.image.shape[:2]) == (factor, size, expected)
    assert decoded.in_full.shape == (*size, 3)
    if factor == 1:
        np.testing.assert_array_equal(decoded.image, decode_image(dataset.image_path(0)))


def test_only_a_first_transform_counts(tmp_path):
    dataset = photographs(tmp_path, [(400, 600)])
    brighter = lambda sample, rng: sample  # noqa: E731
    assert Images(dataset, [brighter, Resize(100, 1000)]).read(0).factor == 1


def test_other_files_and_wrong_annotations_are_decoded_in_full(tmp_path):
    dataset = photographs(tmp_path, [(400, 600), (400, 600)])
    path = dataset.image_path(0)
    pixels = cv2.imread(str(path))
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    path.write_bytes((tmp_path / "a.png").read_bytes())
    cv2.imwrite(str(dataset.image_path(1)), pixels[:200, :300])  # half of what is annotated
    images = Images(dataset, [Resize(100, 1000)])
    assert [images.read(n).factor for n in range(2)] == [1, 1]
    assert [images.read(n).image.shape for n in range(2)] == [(400, 600, 3), (200, 300, 3)]


def test_datasets_of_datasets_reach_the_file(tmp_path):
    sizes = [(400, 600), (600, 400), (400, 408)]
    dataset = photographs(tmp_path, sizes)
    made = Concat([Repeat(Subset(dataset, 2, seed=1), 2), dataset])
    for index in range(len(made)):
        source, number = source_of(OneClass(made), index)
        annotation = made.annotation(index)
        assert source is dataset and sizes[number] == (annotation.height, annotation.width)
        assert Images(OneClass(made), [Resize(100, 1000)]).read(index).factor == 4


def test_a_dataset_with_other_pixels_than_its_file_is_decoded_by_itself(tmp_path):
    dataset = photographs(tmp_path, [(400, 600)])

    class Dark(type(dataset)):
        def image(self, index):
            return super().image(index) // 2

    class DarkSubset(Subset):
        def image(self, index):
            return super().image(index) // 2

    for dark in (Dark(str(tmp_path / "photographs.jsonl")), DarkSubset(dataset, 1)):
        decoded = Images(dark, [Resize(100, 1000)]).read(0)
        assert decoded.factor == 1
        np.testing.assert_array_equal(decoded.image, dataset.image(0) // 2)


def test_optional_methods_of_a_dataset():
    pictures = Pictures([(8, 8)])
    assert not offers(pictures, "source") and not offers(pictures, "reduced_image")
    assert source_of(pictures, 0) == (pictures, 0)
    assert Images(pictures, [Resize(2, 4)]).read(0).factor == 1
