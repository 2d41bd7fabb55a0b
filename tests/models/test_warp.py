"""Regions warped with context, against appendix A of R-CNN and against the steps of its code."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest

from detkit.models import Warp
from detkit.ops import backend
from support.environment import BACKENDS
from support.refusals import assert_refused

HEIGHT, WIDTH = 40, 56
BOXES = np.array([[12, 9, 30, 33], [-4, 20, 10, 47], [40, 30, 70, 90], [0, 0, 56, 40]], "float32")


def picture(seed=0):
    """A normalised image (3, H, W)."""
    return np.random.default_rng(seed).standard_normal((3, HEIGHT, WIDTH)).astype("float32")


def warped(image, boxes, ops="mxnet", hybridized=False, **arguments):
    """The squares (R, 3, S, S) of boxes (R, 4) that Warp takes from an image."""
    warp = Warp((1,), 3, **arguments)
    if hybridized:
        warp.hybridize()
    with backend.using(ops):
        return warp([mx.nd.array(image[None])], mx.nd.array(boxes[None])).asnumpy()


def by_appendix_a(image, box, size, context):
    """The enlarged box sampled at the centres of S x S cells; the image goes on with zeros."""
    x1, y1, x2, y2 = map(float, box)
    scale = size / (size - 2 * context)
    w, h, cx, cy = (x2 - x1) * scale, (y2 - y1) * scale, (x1 + x2) / 2, (y1 + y2) / 2
    out = np.zeros((3, size, size))
    for row, column in np.ndindex(size, size):
        y = cy - h / 2 + (row + 0.5) * h / size - 0.5  # in pixels, whose centres are whole numbers
        x = cx - w / 2 + (column + 0.5) * w / size - 0.5
        for j, i in np.ndindex(2, 2):
            below, beside = int(np.floor(y)) + j, int(np.floor(x)) + i
            if 0 <= below < HEIGHT and 0 <= beside < WIDTH:
                share = (1 - abs(y - below)) * (1 - abs(x - beside))
                out[:, row, column] += share * image[:, below, beside]
    return out


def enlarged_by_rcnn(box, size, context):
    """The window that R-CNN's rcnn_im_crop.m crops: rounded, and a pixel longer than it should be.

    box: x1 y1 x2 y2, both corners inclusive and counted from 1, as in MATLAB; so is the window.
    """
    half = np.array([box[2] - box[0] + 1, box[3] - box[1] + 1]) / 2
    centre, scale = np.array(box[:2]) + half, size / (size - 2 * context)
    return np.round(np.concatenate([centre - half * scale, centre + half * scale])).astype(int)


def cropped_by_rcnn(image, window, size):
    """The other steps of rcnn_im_crop.m: clip the window, resize what is left, and place it."""
    x1, y1, x2, y2 = window
    scale_x, scale_y = size / (x2 - x1 + 1), size / (y2 - y1 + 1)
    pad_x, pad_y = round(max(0, 1 - x1) * scale_x), round(max(0, 1 - y1) * scale_y)
    x1, y1, x2, y2 = max(1, x1), max(1, y1), min(WIDTH, x2), min(HEIGHT, y2)
    width = min(round((x2 - x1 + 1) * scale_x), size - pad_x)
    height = min(round((y2 - y1 + 1) * scale_y), size - pad_y)
    out = np.zeros((3, size, size))
    window = image[:, y1 - 1 : y2, x1 - 1 : x2]
    out[:, pad_y : pad_y + height, pad_x : pad_x + width] = resized(window, height, width)
    return out


def resized(window, height, width):
    """imresize by bilinear interpolation without antialiasing, as of OpenCV."""
    for axis, side in ((1, height), (2, width)):
        length = window.shape[axis]
        at = np.clip((np.arange(side) + 0.5) * length / side - 0.5, 0, length - 1)
        low = np.minimum(at.astype(int), max(length - 2, 0))
        share = (at - low).reshape([-1 if number == axis else 1 for number in range(3)])
        high = np.minimum(low + 1, length - 1)
        window = window.take(low, axis) * (1 - share) + window.take(high, axis) * share
    return window


@pytest.mark.parametrize("ops", BACKENDS)
@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize(("size", "context"), [(12, 2), (9, 0), (31, 5)])
def test_a_region_is_warped_by_the_rule_of_appendix_a(size, context, hybridized, ops):
    image = picture()
    found = warped(image, BOXES, ops, hybridized, size=size, context=context)
    expected = [by_appendix_a(image, box, size, context) for box in BOXES]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("ops", BACKENDS)
@pytest.mark.parametrize(
    "window",
    [
        (13, 9, 28, 24),  # 16 x 16 pixels in the image
        (-3, 29, 28, 44),  # across the left and the lower border
        (33, -7, 64, 24),  # across the right and the upper border
        (-7, -7, 56, 56),  # across all but the right one
    ],
)
def test_a_window_is_cropped_as_by_rcnns_code(window, ops):
    """The windows are whole multiples of the square, so that the code rounds nothing."""
    image, size, context = picture(), 8, 1
    edges = np.array(window) - [1, 1, 0, 0]
    centre, half = (edges[:2] + edges[2:]) / 2, (edges[2:] - edges[:2]) / 2 * (size - 2) / size
    region = np.concatenate([centre - half, centre + half])[None].astype("float32")
    found = warped(image, region, ops, size=size, context=context)
    np.testing.assert_allclose(found[0], cropped_by_rcnn(image, window, size), atol=1e-4)


def test_a_region_is_enlarged_as_by_rcnns_code_but_for_the_rounding():
    """The pixels of the image are their own places, so that the square shows the window."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.stack([x, y, x + y]).astype("float32")
    rng = np.random.default_rng(1)
    for _ in range(10):
        x1, y1 = rng.integers(8, 14, 2)
        box = (x1, y1, x1 + rng.integers(14, 29), y1 + rng.integers(10, 17))
        ours = np.array(box, "float32") - [1, 1, 0, 0]
        found = warped(image, ours[None].astype("float32"), size=16, context=1)[0]
        expected = cropped_by_rcnn(image, enlarged_by_rcnn(box, 16, 1), 16)
        assert np.abs(found[:2] - expected[:2]).max() <= 1.5  # pixels: half of one, and one more


@pytest.mark.parametrize("ops", BACKENDS)
def test_what_lies_outside_of_the_image_is_zero(ops):
    image = np.ones((3, HEIGHT, WIDTH), "float32")
    beyond = np.array([[-30, 4, -8, 30], [60, 50, 90, 70], [-40, -28, 96, 68]], "float32")
    found = warped(image, beyond, ops, size=17, context=2)
    assert (found[:2] == 0).all()
    assert (found[2, :, 0] == 0).all() and (found[2, :, :, -1] == 0).all()
    assert (found[2, :, 8, 8] == 1).all()


@pytest.mark.parametrize("ops", BACKENDS)
def test_padding_changes_nothing(ops):
    """An image at the right border of its array, and one with zeros beyond it, are the same."""
    image = picture()
    padded = np.pad(image, ((0, 0), (0, 24), (0, 8)))
    found = warped(padded, BOXES, ops, size=12, context=2)
    expected = warped(image, BOXES, ops, size=12, context=2)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("ops", BACKENDS)
def test_regions_without_area_and_numbers_that_are_none(ops):
    boxes = np.array([[8, 8, 8, 8], [20, 20, 10, 30], [np.nan, 0, 9, 9], [0, 0, np.inf, 9]])
    assert np.isfinite(warped(picture(), boxes.astype("float32"), ops, size=6, context=1)).all()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"size": 0}, "at least 1"),
        ({"context": -1}, "at least 0 and less than half of size 227"),
        ({"context": 114}, "at least 0 and less than half of size 227"),
    ],
)
def test_arguments_are_checked(wrong, expected):
    assert_refused(partial(Warp, (1,), 3), expected, **wrong)


def test_it_takes_regions_from_one_map():
    with pytest.raises(ValueError, match="one map.*found 2"):
        Warp((4, 8), 3)
