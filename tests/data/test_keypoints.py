"""The field of keypoints: mirrors exchange left and right, and the loader pads it."""

import numpy as np
import pytest

from detkit.data import HorizontalFlip, Loader, Resize, Shapes, VerticalFlip
from detkit.data.keypoints import Keypoints, order_of_sides
from detkit.errors import DataError

NAMES = ("nose", "left_eye", "right_eye", "left_ear", "tail_right", "tail_left", "upright")
POINTS = np.arange(2 * 7 * 3, dtype="f").reshape(2, 7, 3)


def test_the_order_of_sides():
    assert order_of_sides(NAMES) == (0, 2, 1, 3, 5, 4, 6)
    assert order_of_sides(()) == ()


def test_a_mirror_moves_and_exchanges():
    keypoints = Keypoints(POINTS, [order_of_sides(NAMES)] * 2)
    for axis, side in ((0, 50), (1, 80)):
        mirrored = keypoints.mirror(axis, side).points
        expected = POINTS[:, [0, 2, 1, 3, 5, 4, 6]].copy()
        expected[..., 1 - axis] = side - expected[..., 1 - axis]
        np.testing.assert_array_equal(mirrored, expected)
        np.testing.assert_array_equal(
            keypoints.mirror(axis, side).mirror(axis, side).points, POINTS
        )
    np.testing.assert_array_equal(keypoints.points, POINTS)


def test_rows_scales_and_padding():
    keypoints = Keypoints(POINTS, [range(7)] * 2)
    np.testing.assert_array_equal(keypoints.take(np.array([False, True])).points, POINTS[1:])
    scaled = keypoints.scale(2, 0.5).points
    np.testing.assert_array_equal(scaled, POINTS * np.float32([2, 0.5, 1]))
    padded = keypoints.array(5)
    assert (padded.shape, padded.dtype) == ((5, 7, 3), np.float32)
    np.testing.assert_array_equal(padded[:2], POINTS)
    assert not padded[2:].any()


@pytest.mark.parametrize("flip", [HorizontalFlip, VerticalFlip])
def test_names_are_right_after_every_transform(flip):
    """Each extreme point of a shape is still the extreme point that its name says."""
    dataset = Shapes(12, size=(64, 96), seed=5, empty=0)
    loader = Loader(dataset, [Resize(96, 200), flip(1.0)], batch_size=4, fields=["keypoints"])
    seen = 0
    for batch in loader.batches(0):
        points = batch.array("keypoints")[batch.labels >= 0]
        for top, left, bottom, right in points[(points[..., 2] > 0).all(axis=1)]:
            assert top[1] <= min(left[1], right[1]) <= max(left[1], right[1]) <= bottom[1]
            assert left[0] <= min(top[0], bottom[0]) <= max(top[0], bottom[0]) <= right[0]
            seen += 1
        assert not batch.array("keypoints")[batch.labels < 0].any()
    assert seen > 10


def test_another_field_is_refused():
    with pytest.raises(
        DataError, match=r"Shapes.*field 'depth'.*found the field 'keypoints' alone"
    ):
        Shapes(2).field("depth", 0)
