"""Samples of images that were decoded smaller: boxes, masks, keypoints and proposals follow."""

import numpy as np
import pytest

from detkit.data import Keypoints, Loader, Resize
from detkit.data.annotated import sample_of, shrunk
from detkit.data.decoded import Images
from detkit.data.images import REDUCTIONS
from support.photographs import bright_part, photographs

ODD = (401, 603)  # no factor divides the sides


def of_factor(dataset, factor, fields=()):
    """The samples of image 0, decoded by a factor and in full."""
    resize = Resize(ODD[0] // factor, 1000)
    annotation, masks = dataset.annotation(0), dataset.masks(0)
    decoded = Images(dataset, [resize]).read(0)
    assert decoded.factor == factor
    whole = sample_of(annotation, decoded.in_full, [], masks, dict(fields))
    return shrunk(whole, decoded), sample_of(annotation, dataset.image(0), [], masks, dict(fields))


@pytest.mark.parametrize("factor", REDUCTIONS)
def test_boxes_fit_the_pixels_exactly(tmp_path, factor):
    dataset = photographs(tmp_path, [ODD])
    small, whole = of_factor(dataset, factor)
    np.testing.assert_array_equal(small.boxes * factor, whole.boxes)
    first = small.image[: small.image.shape[0] // 2, : small.image.shape[1] // 2]
    np.testing.assert_allclose(bright_part(first), small.boxes[0], atol=0.3)


@pytest.mark.parametrize("factor", REDUCTIONS)
def test_masks_cover_the_same_pixels(tmp_path, factor):
    small, whole = of_factor(photographs(tmp_path, [ODD]), factor)
    assert small.masks.shape == (2, *small.image.shape[:2])
    assert small.masks.dtype == np.uint8 and set(np.unique(small.masks)) == {0, 1}
    for mask, box in zip(small.masks, small.boxes):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        edges = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        assert np.abs(edges - box).max() < 1  # the last pixels stand for a part of a block
    last = np.kron(small.masks[1], np.ones((factor, factor)))[: ODD[0], : ODD[1]]
    assert np.abs(last - whole.masks[1]).mean() < 0.01


def test_a_mask_keeps_the_pixels_that_it_covers_by_half(tmp_path):
    dataset = photographs(tmp_path, [(400, 600)])
    decoded = Images(dataset, [Resize(200, 1000)]).read(0)
    mask = np.zeros((2, 400, 600), np.uint8)
    mask[0, 100:102, 101:103] = 1  # half of two pixels of the smaller image
    mask[1, 101, 101] = 1  # a quarter of one
    sample = sample_of(dataset.annotation(0), decoded.in_full, [], mask)
    smaller = shrunk(sample, decoded).masks
    assert np.argwhere(smaller).tolist() == [[0, 50, 50], [0, 50, 51]]


def test_keypoints_and_proposals_follow(tmp_path):
    dataset = photographs(tmp_path, [ODD])
    points = np.array([[[100, 60, 2], [0, 0, 0]], [[600.5, 400.5, 1], [33, 17, 2]]], np.float32)
    keypoints = {"keypoints": Keypoints(points, [[0, 1], [0, 1]])}
    small, _ = of_factor(dataset, 4, keypoints)
    np.testing.assert_array_equal(small.fields["keypoints"].points[..., :2], points[..., :2] / 4)
    np.testing.assert_array_equal(small.fields["keypoints"].points[..., 2], points[..., 2])

    proposals = {"0.jpg": np.array([[0, 0, 603, 401], [8, 4, 700, 40]], np.float32)}
    loaders = [
        Loader(dataset, [Resize(100, 1000)], 1, proposals=proposals, reduced_decoding=reduced)
        for reduced in (False, True)
    ]
    for loader in loaders:
        (batch,) = loader.batches(0)
        back = batch.proposals[0, :2] / np.tile(batch.scales[0], 2)
        np.testing.assert_allclose(back, [[0, 0, 603, 401], [8, 4, 603, 40]], rtol=1e-5)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("sizes", [[ODD, (801, 607)], [(400, 608), (1200, 1600)]])
def test_batches_lead_back_to_the_file(tmp_path, sizes, workers):
    dataset = photographs(tmp_path, sizes)
    full, reduced = (
        list(
            Loader(
                dataset, [Resize(100, 1000)], 1, workers=workers, masks=True, reduced_decoding=flag
            ).batches(0)
        )
        for flag in (False, True)
    )
    for one, other in zip(full, reduced):
        assert one.image_ids == other.image_ids
        assert np.abs(one.sizes - other.sizes).max() <= 1
        (index,) = one.indices
        expected = dataset.annotation(index).boxes
        for batch in (one, other):
            back = batch.boxes[0, : len(expected)] / np.tile(batch.scales[0], 2)
            np.testing.assert_allclose(back, expected, rtol=1e-5)
        height, width = np.minimum(one.sizes[0], other.sizes[0]).astype(int)
        change = one.images[0, :, :height, :width] - other.images[0, :, :height, :width]
        assert 0 < np.abs(change).mean() < 2
        masks, others = (b.masks[0, :2, :height, :width] for b in (one, other))
        assert (masks != others).mean() < 0.02


def test_without_it_the_pixels_are_those_of_the_whole_file(tmp_path):
    dataset = photographs(tmp_path, [ODD])
    (batch,) = Loader(dataset, [Resize(100, 1000)], 1).batches(0)
    resized = Resize(100, 1000)(sample_of(dataset.annotation(0), dataset.image(0), []), None)
    height, width = resized.image.shape[:2]
    np.testing.assert_array_equal(
        batch.images[0, :, :height, :width], resized.image.transpose(2, 0, 1)
    )
