"""Keypoints of detections: found in heatmaps, written, read and drawn."""

import json
from dataclasses import replace

import numpy as np
import pytest

from detkit.data import Loader, Resize, Shapes
from detkit.detections import Detections, detections_of
from detkit.detections.draw import colour_of, draw_detections
from detkit.detections.results import load_results, save_results
from detkit.detections.skeletons import draw_skeleton
from detkit.errors import DataError
from support.evaluation import Dataset, detected, square

POINTS = np.array([[[10.5, 20.25, 0.9], [30, 5, 0.5]], [[1, 2, 0.1], [70.125, 60, 1]]], "f")
GREY = np.full((80, 120, 3), 128, np.uint8)


def posed():
    found = detected((square(0, side=40), 0.9, 1), (square(50, side=30), 0.8, 0))
    return replace(found, keypoints=POINTS)


def batch_of():
    """A batch of two images of 64 x 32 pixels, resized to 120 x 60."""
    (batch,) = Loader(Shapes(2, size=(32, 64)), [Resize(60, 120)], batch_size=2).batches(0)
    return batch


# --- Of a network ---------------------------------------------------------------------------------


def test_keypoints_are_in_pixels_of_the_image():
    batch, skeleton = batch_of(), ((0, 1),)
    boxes = np.tile(np.float32([[20, 10, 52, 42], [0, 0, 9, 9]]), (2, 1, 1))
    scores = np.float32([[0.9, -1], [0.7, 0.6]])
    heatmaps = np.zeros((2, 2, 3, 8, 8), "f")
    heatmaps[:, 0, :, 2, 5] = 20  # of 8 cells of 4 pixels: x 5.5 cells, y 2.5 cells
    outputs = boxes, scores, np.zeros((2, 2), "f"), heatmaps
    first, second = detections_of(batch, outputs, ("cat", "dog"), skeleton=skeleton)
    assert (first.keypoints.shape, second.keypoints.shape) == ((1, 3, 3), (2, 3, 3))
    assert first.skeleton == skeleton
    assert first.mask_probs is None and first.image_size is None
    expected = (np.array([20, 10]) + 4 * np.array([5.5, 2.5])) / batch.scales[0]
    for found in (first, second):
        np.testing.assert_allclose(found.keypoints[0, :, :2], np.tile(expected, (3, 1)), atol=0.3)
    assert (first.keypoints[..., 2] > 0.1).all()


def test_masks_are_not_taken_for_heatmaps():
    outputs = np.zeros((2, 1, 4), "f"), np.ones((2, 1)), np.zeros((2, 1)), np.ones((2, 1, 3, 3))
    first, _ = detections_of(batch_of(), outputs, ("cat",))
    assert first.keypoints is None
    assert first.mask_probs.shape == (1, 3, 3)


# --- Files ----------------------------------------------------------------------------------------


@pytest.fixture
def dataset():
    return Dataset({1: [(square(0), 0)], 2: [(square(0), 1)]})


def test_what_is_written_is_read_again(dataset, tmp_path):
    save_results(tmp_path / "a.json", {1: posed()}, dataset)
    entries = json.loads((tmp_path / "a.json").read_text())
    assert entries[0]["keypoints"] == pytest.approx([10, 19.75, 0.9, 29.5, 4.5, 0.5])
    found = load_results(tmp_path / "a.json", dataset)
    np.testing.assert_array_equal(found[1].keypoints, POINTS)
    assert found[2].keypoints is None


def test_some_without_keypoints_are_boxes(dataset, tmp_path):
    save_results(tmp_path / "a.json", {1: posed(), 2: detected((square(0), 0.9, 1))}, dataset)
    found = load_results(tmp_path / "a.json", dataset)
    assert found[1].keypoints is None
    assert len(found[1].boxes) == 2


@pytest.mark.parametrize(
    ("keypoints", "fragments"),
    [
        ("nose", ("x, y and a number", "'nose'")),
        ([1, 2], ("x, y and a number", "[1, 2]")),
        ([1, 2, "3"] * 2, ("x, y and a number", "'3'")),
        ([1, 2, True] * 2, ("x, y and a number", "True")),
        ([1e38, 2, 3] * 2, ("x, y and a number", "1e+38")),
        ([0] * 3 * 513, ("at most 512",)),
        ([1, 2, 3], ("expected 6 numbers", "first entry", "found 3")),
    ],
)
def test_malformed_keypoints_are_refused(dataset, tmp_path, keypoints, fragments):
    save_results(tmp_path / "a.json", {1: posed()}, dataset)
    entries = json.loads((tmp_path / "a.json").read_text())
    entries[1]["keypoints"] = keypoints
    (tmp_path / "a.json").write_text(json.dumps(entries))
    with pytest.raises(DataError) as caught:
        load_results(tmp_path / "a.json", dataset)
    for fragment in ("a.json: entry 1: keypoints: ", *fragments):
        assert fragment in str(caught.value)


# --- Drawings -------------------------------------------------------------------------------------


def has(image, x, y, colour):
    """Whether a pixel has a colour, up to the softening of a line."""
    return np.abs(image[y, x].astype(int) - colour).max() < 20


def test_points_and_lines_in_the_colour_of_their_object():
    points = np.array([[[10, 70, 0.9], [60, 70, 0.9]], [[10, 50, 0.9], [60, 50, 0.9]]], "f")
    found = detected((square(0, side=9), 0.9, 1), (square(30, side=9), 0.8, 1))
    drawn = draw_detections(GREY, replace(found, keypoints=points, skeleton=[[0, 1]]))
    for row, y in enumerate((70, 50)):
        assert has(drawn, 10, y, colour_of(row))
        assert has(drawn, 35, y, colour_of(row))
    without = draw_detections(GREY, replace(found, keypoints=points))
    assert has(without, 10, 70, colour_of(0))
    assert has(without, 35, 70, (128, 128, 128))


def test_a_larger_drawing_has_its_points_there():
    points = np.array([[[10, 30, 0.9], [50, 30, 0.9]]], "f")
    found = replace(detected((square(0, side=9), 0.9, 1)), keypoints=points)
    assert has(draw_detections(GREY, found, scale=2), 20, 60, colour_of(0))


@pytest.mark.parametrize(
    "point", [(30, 30, 0.04), (np.nan, 30, 1), (30, np.inf, 1), (30, 30, np.nan)]
)
def test_points_that_are_unlikely_or_nowhere_are_not_drawn(point):
    canvas = GREY.copy()
    points = np.array([point, (30, 60, 0.01)], "f")
    draw_skeleton(canvas, points, [[0, 1], [1, 0], [0, 7]], (255, 0, 0), 2)
    np.testing.assert_array_equal(canvas, GREY)


def test_points_far_outside_do_no_harm():
    canvas = GREY.copy()
    points = np.array([(-1e30, 40, 1), (1e30, 40, 1)], "f")
    draw_skeleton(canvas, points, [[0, 1]], (255, 0, 0), 1)
    assert has(canvas, 60, 40, (255, 0, 0))


def test_no_detections():
    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), ("cat",))
    nothing = replace(nothing, keypoints=np.zeros((0, 2, 3)), skeleton=[[0, 1]])
    np.testing.assert_array_equal(draw_detections(GREY, nothing), GREY)
