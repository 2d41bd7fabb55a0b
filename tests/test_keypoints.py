"""Keypoints in heatmaps, against torchvision's rules in plain numpy."""

import mxnet as mx
import numpy as np
import pytest

from detkit.keypoints import NOT_TRAINED, decode, encode, from_coco, to_coco

SIZE = 12


def cell_of(point, roi, size=SIZE):
    """The cell of one keypoint (x, y, flag), by torchvision's keypoints_to_heatmap."""
    x, y, flag = point
    x1, y1, x2, y2 = roi
    column, row = np.floor((x - x1) / (x2 - x1) * size), np.floor((y - y1) / (y2 - y1) * size)
    column, row = size - 1 if x == x2 else column, size - 1 if y == y2 else row
    inside = 0 <= column < size and 0 <= row < size and flag > 0
    return row * size + column if inside else NOT_TRAINED


@pytest.mark.parametrize("hybridized", [False, True])
def test_cells(hybridized):
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 40, (2, 5, 2))
    rois = np.concatenate([corners, corners + rng.integers(5, 40, (2, 5, 2))], 2).astype("f")
    points = rng.uniform(-5, 70, (2, 5, 7, 3)).astype("f")
    points[..., 2] = rng.integers(0, 3, (2, 5, 7))
    points[:, :, 0, :2], points[:, :, 1, :2] = rois[..., 2:], rois[..., :2]  # the corners
    points[:, :, 0, 2] = points[:, :, 1, 2] = 2
    rows = zip(points.reshape(10, 7, 3), rois.reshape(10, 4))
    expected = np.reshape([[cell_of(p, roi) for p in each] for each, roi in rows], (2, 5, 7))
    found = encode(mx.nd, mx.nd.array(points), mx.nd.array(rois), SIZE)
    if hybridized:
        names = mx.sym.var("points"), mx.sym.var("rois")
        graph = encode(mx.sym, *names, SIZE)
        found = graph.eval(points=mx.nd.array(points), rois=mx.nd.array(rois))[0]
    np.testing.assert_array_equal(found.asnumpy(), expected)
    assert (found.asnumpy()[..., 0] == SIZE * SIZE - 1).all()
    assert (found.asnumpy()[..., 1] == 0).all()


def test_a_roi_without_area_has_no_cell_that_is_not_one():
    rois, points = mx.nd.zeros((1, 1, 4)), mx.nd.array([[[[1e30, -1e30, 2], [0, 0, 2]]]])
    found = encode(mx.nd, points, rois, SIZE).asnumpy()
    assert ((found >= NOT_TRAINED) & (found < SIZE * SIZE)).all()


def kernel(distance):
    """torch's bicubic kernel."""
    a, t = -0.75, np.abs(distance)
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    return np.where(t <= 1, near, np.where(t < 2, a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a, 0))


def weights(pixels, cells):
    """(pixels, cells): how much each cell counts in each pixel; cells beyond the border repeat."""
    at = (np.arange(pixels) + 0.5) * cells / pixels - 0.5
    read = np.arange(-2, cells + 2)
    matrix = np.zeros((pixels, cells))
    for column, cell in enumerate(np.clip(read, 0, cells - 1)):
        matrix[:, cell] += kernel(at - read[column])
    return matrix


def point_of(heatmap, box):
    """x, y and the logit of a keypoint, by torchvision's heatmaps_to_keypoints."""
    (width, height), cells = np.maximum(box[2:] - box[:2], 1), len(heatmap)
    columns, rows = int(np.ceil(width)), int(np.ceil(height))
    resized = weights(rows, cells) @ heatmap @ weights(columns, cells).T
    row, column = np.unravel_index(resized.argmax(), resized.shape)
    x, y = (column + 0.5) * width / columns, (row + 0.5) * height / rows
    return box[0] + x, box[1] + y, resized[row, column]


BOXES = [(3, 4, 40.5, 90.2), (0, 0, 0.4, 7), (10, 10, 200, 30), (5.5, 6.5, 5.5, 6.5), (0, 0, 9, 9)]


def test_keypoints_are_torchvisions():
    heatmaps = np.random.default_rng(1).normal(0, 3, (len(BOXES), 4, SIZE, SIZE)).astype("f")
    boxes = np.array(BOXES, "f")
    found = decode(heatmaps, boxes, (100, 300))
    for maps, box, points in zip(heatmaps, boxes, found):
        for heatmap, point in zip(maps, points):
            x, y, logit = point_of(heatmap.astype(float), box)
            np.testing.assert_allclose(point[:2], (x, y), atol=1e-3)
            share = np.exp(logit) / np.exp(heatmap.astype(float)).sum()
            assert point[2] == pytest.approx(min(share, 1), rel=1e-3)


def test_a_single_cell_is_found_where_it_is():
    heatmaps = np.full((1, 2, SIZE, SIZE), -9, "f")
    heatmaps[0, 0, 3, 8] = heatmaps[0, 1, 11, 0] = 9
    box = np.array([[100, 50, 100 + 8 * SIZE, 50 + 4 * SIZE]], "f")
    (points,) = decode(heatmaps, box, (999, 999))
    np.testing.assert_allclose(points[0, :2], (100 + 8 * 8.5, 50 + 4 * 3.5), atol=0.51)
    assert points[1, 0] < 100 + 8 and points[1, 1] > 50 + 4 * 11
    assert ((points[:, 2] > 0.4) & (points[:, 2] <= 1)).all()


def test_the_image_limits_the_pixels_of_a_box():
    """A box of a hostile network does not cost the memory of its pixels."""
    (points,) = decode(np.zeros((1, 1, 4, 4), "f"), np.array([[0, 0, 1e30, 1e30]], "f"), (20, 30))
    assert np.isfinite(points).all()


def test_of_no_boxes():
    assert decode(np.zeros((0, 3, 8, 8), "f"), np.zeros((0, 4), "f"), (9, 9)).shape == (0, 3, 3)


def test_cocos_coordinates_are_those_of_pixels():
    values = [3, 4, 2, 7.25, 0, 1]
    points = from_coco(values)
    assert points.dtype == np.float32
    assert points.tolist() == [[3.5, 4.5, 2], [7.75, 0.5, 1]]
    assert to_coco(points) == values
