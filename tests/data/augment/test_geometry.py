"""One move of image, boxes, masks, keypoints and proposals; Affine and ScaleJitter by it."""

import numpy as np
import pytest

from detkit.data.augment import Affine, ScaleJitter
from detkit.data.augment.geometry import FILL, joined, placing, visible_shares, warped
from detkit.data.keypoints import Keypoints
from detkit.data.sample import Sample
from detkit.data.transforms import Resize, apply
from detkit.errors import DataError


class Anchored:
    """A Field without warp, cover and join."""

    def take(self, rows):
        return self


def square_sample(masks=True):
    """One square of 10 x 10 pixels, white on black, with a proposal and two keypoints."""
    image, mask = np.zeros((30, 40, 3), np.uint8), np.zeros((1, 30, 40), np.uint8)
    image[10:20, 5:15] = 255
    mask[0, 10:20, 5:15] = 1
    points = np.array([[[6, 11, 2], [14, 19, 1]]], np.float32)
    box = np.array([[5, 10, 15, 20]], np.float32)
    return Sample(
        image_id="square",
        image=image,
        boxes=box,
        labels=np.array([3], np.int32),
        difficult=np.array([False]),
        masks=mask if masks else None,
        proposals=np.array([[4, 9, 16, 21], [30, 20, 40, 30]], np.float32),
        fields={"keypoints": Keypoints(points, [(1, 0), (1, 0)])},
    )


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("shift", [(0, 0), (7, -3), (-12, 4), (33, 0), (-9, -18)])
def test_a_shift_is_the_same_pixels_elsewhere(shift, masks):
    """The oracle pads the arrays generously and slices them."""
    sample, (x, y) = square_sample(masks), shift
    moved = warped(sample, placing((1, 1), shift), (36, 28), visible=0.3)
    padded = np.full((120, 120, 3), FILL, np.uint8)
    padded[30 + y : 60 + y, 30 + x : 70 + x] = sample.image
    np.testing.assert_array_equal(moved.image, padded[30:58, 30:66])
    box = np.clip([5 + x, 10 + y, 15 + x, 20 + y], 0, [36, 28, 36, 28])
    share = float(box[2] - box[0]) * (box[3] - box[1]) / 100
    assert moved.boxes.tolist() == [box.tolist()] * bool(share)
    assert moved.difficult.tolist() == [share < 0.3] * bool(share)
    assert moved.labels.tolist() == [3] * bool(share)
    proposals = np.clip(sample.proposals + [x, y, x, y], 0, [36, 28, 36, 28])
    kept = (proposals[:, 2:] - proposals[:, :2] >= 1).all(axis=1)
    np.testing.assert_array_equal(moved.proposals, proposals[kept])


def test_keypoints_outside_are_not_labelled():
    moved = warped(square_sample(), placing((1, 1), (-8, 0)), (40, 30))
    assert moved.fields["keypoints"].points.tolist() == [[[0, 0, 0], [6, 19, 1]]]


def test_an_image_that_shrinks_is_averaged():
    sample = square_sample()
    stripes = np.zeros((30, 40, 3), np.uint8)
    stripes[:, ::2] = 200
    moved = warped(sample._replace(image=stripes), placing((0.5, 0.5), (0, 0)), (20, 15))
    np.testing.assert_array_equal(moved.image, np.full((15, 20, 3), 100))


@pytest.mark.parametrize("factor", [2, 3])
def test_an_image_that_grows_is_a_resize(factor):
    sample = square_sample()
    size = 40 * factor, 30 * factor
    grown = warped(sample, placing((factor, factor), (0, 0)), size)
    resized = Resize(30 * factor, 1000)(sample, rng())
    # OpenCV's warp rounds places to 1/32 pixel, which is 8 of the 255 between black and white.
    np.testing.assert_allclose(grown.image.astype(float), resized.image.astype(float), atol=8)
    np.testing.assert_array_equal(grown.masks, resized.masks)
    np.testing.assert_array_equal(grown.boxes, resized.boxes)


@pytest.mark.parametrize("masks", [True, False])
def test_a_quarter_turn_is_that_of_numpy(masks):
    sample = square_sample(masks)
    turn = np.array([[0, 1, 0], [-1, 0, 40]], np.float64)  # counter-clockwise
    turned = warped(sample, turn, (30, 40))
    np.testing.assert_array_equal(turned.image, np.rot90(sample.image))
    np.testing.assert_allclose(turned.boxes, [[10, 25, 20, 35]], atol=1e-5)
    np.testing.assert_allclose(turned.fields["keypoints"].points[0, 0], [11, 34, 2])
    if masks:
        np.testing.assert_array_equal(turned.masks[0], np.rot90(sample.masks[0]))


def test_what_is_too_small_to_see_becomes_difficult():
    sample = square_sample(masks=False)
    assert warped(sample, placing((0.09, 0.09), (0, 0)), (40, 30)).difficult.tolist() == [True]
    assert warped(sample, placing((0.11, 0.11), (0, 0)), (40, 30)).difficult.tolist() == [False]


def test_an_object_whose_mask_is_empty_moves_by_its_box():
    sample = square_sample()
    sample = sample._replace(masks=np.zeros_like(sample.masks))
    moved = warped(sample, placing((1, 1), (-10, 0)), (40, 30))
    assert moved.boxes.tolist() == [[0, 10, 5, 20]] and not moved.masks.any()


def test_joined_samples_keep_the_order_of_their_proposals():
    one, other = square_sample(), square_sample()._replace(labels=np.array([4], np.int32))
    both = joined(one, other)
    assert both.labels.tolist() == [3, 4] and both.masks.shape == (2, 30, 40)
    assert both.fields["keypoints"].points.shape == (2, 2, 3)
    np.testing.assert_array_equal(both.proposals, np.repeat(one.proposals, 2, axis=0))
    without = joined(one._replace(masks=None, proposals=None), other._replace(masks=None))
    assert without.masks is None and without.proposals is None


def test_visible_shares_count_pixels_of_masks_and_of_boxes():
    sample, covered = square_sample(), np.zeros((30, 40), bool)
    covered[:, 5:8] = True
    assert visible_shares(sample, covered).tolist() == [0.7]
    assert visible_shares(sample._replace(masks=None), covered).tolist() == [0.7]
    outside = sample._replace(masks=None, boxes=np.array([[-9, -9, -1, -1]], np.float32))
    assert visible_shares(outside, covered).tolist() == [1]


def test_a_field_that_cannot_move_is_named():
    sample = square_sample()._replace(fields={"tops": Anchored()})
    with pytest.raises(DataError, match="'square': field 'tops': .* warp, cover .* Anchored"):
        apply([Affine()], sample, rng())


def test_an_image_too_long_to_resample_is_named():
    sample = square_sample()._replace(image=np.zeros((4, 40000, 3), np.uint8))
    with pytest.raises(DataError, match="'square': .* 32766 pixels, found 40000 x 4; .*Resize"):
        ScaleJitter()(sample, rng())


def test_affine_is_a_rotation_around_the_centre():
    sample = square_sample()
    still = Affine(angle=0, shear=0, scale=(1, 1), translate=0)(sample, rng())
    np.testing.assert_array_equal(still.image, sample.image)
    assert Affine(p=0)(sample, rng()) is sample
    for seed in range(5):
        turned = Affine(angle=180, shear=0, scale=(1, 1), translate=0)(sample, rng(seed))
        before, after = ([10 - 20, 15 - 15], turned.boxes[0].reshape(2, 2).mean(axis=0) - [20, 15])
        assert np.hypot(*after) == pytest.approx(np.hypot(*before), abs=1)
        assert turned.masks.sum() == pytest.approx(100, abs=12)


@pytest.mark.parametrize(
    ("scale", "expected"),
    [(1, [10, 20, 30, 40]), (0.5, [5, 10, 15, 20])],  # as the size is twice the image's
)
def test_scale_jitter_pads_what_is_smaller(scale, expected):
    jittered = ScaleJitter((60, 80), (scale, scale))(square_sample(), rng())
    assert jittered.image.shape == (60, 80, 3) and jittered.boxes.tolist() == [expected]
    assert jittered.image[59, 79].tolist() == ([0, 0, 0] if scale == 1 else list(FILL))


def test_scale_jitter_cuts_what_is_larger():
    widths = set()
    for seed in range(20):
        jittered = ScaleJitter((30, 40), (2, 2))(square_sample(masks=False), rng(seed))
        assert jittered.image.shape == (30, 40, 3)
        widths |= set((jittered.boxes[:, 2] - jittered.boxes[:, 0]).tolist())
    assert max(widths) == 20 and len(widths) > 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScaleJitter((1, 40)), r"size: .* from 2 to 32766 pixels, found \(1, 40\)"),
        (lambda: ScaleJitter(scale=(2, 1)), r"scale: .*\[0.01, 10\], found \(2, 1\)"),
        (lambda: ScaleJitter(scale=(float("nan"), 1)), "scale: .*found"),
        (lambda: ScaleJitter(fill=(0, 0, 256)), r"fill: .*\[0, 255\], found \(0, 0, 256\)"),
        (lambda: ScaleJitter(visible=1.5), r"visible: .*\[0, 1\], found 1.5"),
        (lambda: Affine(angle=181), r"angle: .*\[0, 180\], found 181"),
        (lambda: Affine(shear=-1), r"shear: .*\[0, 45\], found -1"),
        (lambda: Affine(translate=2), r"translate: .*\[0, 1\], found 2"),
        (lambda: Affine(p=2), "p: .*found 2"),
    ],
)
def test_senseless_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
