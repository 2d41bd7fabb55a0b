"""The embedded dataset: the same on every run, exact boxes and masks, nothing unlabelled."""

import subprocess
import sys
import time
import zlib

import numpy as np
import pytest

from detkit.data.shapes import LEAST_VISIBLE, OUTLINES, Shapes

COUNT = 60


@pytest.fixture(scope="module")
def dataset():
    return Shapes(length=COUNT, size=(96, 144), seed=3, empty=0.2)


def test_arrays_have_the_promised_shapes_and_types(dataset):
    assert len(dataset) == COUNT
    assert dataset.class_names == ("circle", "square", "triangle", "star", "cross", "ring")
    ids = set()
    for index in range(COUNT):
        annotation, image, masks = (
            dataset.annotation(index),
            dataset.image(index),
            dataset.masks(index),
        )
        count = len(annotation.labels)
        ids.add(annotation.image_id)
        assert (annotation.height, annotation.width) == (96, 144)
        assert image.shape == (96, 144, 3) and image.dtype == np.uint8
        assert annotation.boxes.shape == (count, 4) and annotation.boxes.dtype == np.float32
        assert annotation.labels.dtype == np.int32 and not annotation.difficult.any()
        assert masks.shape == (count, 96, 144) and masks.dtype == np.uint8
    assert len(ids) == COUNT


def test_boxes_are_tight_around_masks_that_do_not_overlap(dataset):
    for index in range(COUNT):
        masks, boxes = dataset.masks(index), dataset.annotation(index).boxes
        assert masks.sum(axis=0).max() <= 1
        for mask, box in zip(masks, boxes):
            rows, columns = np.nonzero(mask)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_masks_are_where_the_colour_is():
    """Objects are vivid and grounds are dull, so saturation tells them apart."""
    dataset = Shapes(length=40, empty=0)
    agreed = []
    for index in range(40):
        pixels = dataset.image(index).astype(float)
        saturation = 1 - pixels.min(axis=2) / np.maximum(pixels.max(axis=2), 1)
        agreed.append(((saturation > 0.5) == dataset.masks(index).any(axis=0)).mean())
    assert np.mean(agreed) > 0.97


def test_enough_of_every_object_is_seen(dataset):
    for index in range(COUNT):
        drawing = dataset.drawing(index)
        for coverage, mask in zip(drawing.coverages, drawing.masks):
            inside = (coverage >= 128).sum()
            assert mask.sum() >= LEAST_VISIBLE * inside * 0.95
            assert mask.sum() > 0


def test_areas_are_those_of_the_outlines():
    """A whole ring of diameter d covers pi/4 d^2 (1 - 0.58^2); a square in the circle, d^2 / 2."""
    dataset = Shapes(
        length=300, size=(200, 200), max_objects=1, empty=0, min_object=0.4, max_object=0.4
    )
    expected = {"ring": np.pi / 4 * (1 - 0.58**2), "square": 0.5, "circle": np.pi / 4}
    seen = set()
    for index in range(300):
        x1, y1, x2, y2 = dataset.annotation(index).boxes[0]
        name = dataset.class_names[dataset.annotation(index).labels[0]]
        if name in expected and min(x1, y1) > 0 and max(x2, y2) < 200:
            seen.add(name)
            assert dataset.masks(index).sum() == pytest.approx(expected[name] * 80**2, rel=0.03)
    assert seen == set(expected)


def test_every_class_occurs_and_some_images_are_empty():
    dataset = Shapes(length=300, empty=0.1)
    annotations = [dataset.annotation(index) for index in range(300)]
    labels = np.concatenate([a.labels for a in annotations])
    assert np.bincount(labels, minlength=len(OUTLINES)).min() > len(labels) / 12
    counts = [len(a.labels) for a in annotations]
    assert 15 < counts.count(0) < 50
    assert max(counts) == 5
    assert all(len(Shapes(20, empty=1).annotation(i).labels) == 0 for i in range(20))


def test_an_image_depends_on_seed_and_index_alone():
    one, other = Shapes(length=10, seed=4), Shapes(length=500, seed=4)
    for index in (7, 2, 7):
        np.testing.assert_array_equal(one.image(index), other.image(index))
        np.testing.assert_array_equal(one.annotation(index).boxes, other.annotation(index).boxes)
    assert not np.array_equal(one.image(2), one.image(3))
    assert not np.array_equal(one.image(2), Shapes(length=10, seed=5).image(2))


def test_another_process_draws_the_same_bytes():
    program = (
        "import zlib; from detkit.data.shapes import Shapes; d = Shapes(3, seed=9); "
        "print([zlib.crc32(d.image(i).tobytes()) for i in range(3)])"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    dataset = Shapes(3, seed=9)
    assert output.strip() == str([zlib.crc32(dataset.image(i).tobytes()) for i in range(3)])


def test_drawing_is_quick():
    dataset = Shapes(length=200)
    times = []
    for index in range(50):
        start = time.perf_counter()
        dataset.image(index)
        times.append(time.perf_counter() - start)
    assert np.median(times) < 0.02


@pytest.mark.parametrize("index", [-1, 10])
def test_an_index_outside_is_an_error(index):
    with pytest.raises(IndexError, match="below 10"):
        Shapes(length=10).image(index)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"length": 0}, "length: .*at least 1, found 0"),
        ({"size": (128,)}, r"size: .*\(height, width\).*found \(128,\)"),
        ({"size": (16, 128)}, r"size: .*at least 32, found \(16, 128\)"),
        ({"seed": -1}, "seed: .*at least 0, found -1"),
        ({"max_objects": 0}, "max_objects: .*at least 1, found 0"),
        ({"empty": 1.5}, r"empty: .*\[0, 1\], found 1.5"),
        ({"max_object": 2}, "max_object: .*up to 1, found 2"),
        ({"min_object": 0.6}, r"min_object: .*max_object \(0.5\), found 0.6"),
    ],
)
def test_senseless_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Shapes(**arguments)


def test_keypoints_are_the_outermost_points():
    dataset = Shapes(length=40, size=(96, 96), max_objects=1, empty=0, seed=2)
    whole = 0
    for index in range(40):
        (points,) = dataset.field("keypoints", index).points
        x1, y1, x2, y2 = dataset.annotation(index).boxes[0]
        if min(x1, y1) > 0 and max(x2, y2) < 96:
            whole += 1
            assert points[:, 2].tolist() == [2] * 4
            found = points[0, 1], points[1, 0], points[2, 1], points[3, 0]
            np.testing.assert_allclose(found, (y1, x1, y2, x2), atol=2.5)  # a tip may be thin
    assert whole > 15


def test_keypoints_outside_and_behind_others():
    dataset = Shapes(length=60, size=(96, 96), max_objects=6, empty=0, max_object=0.6, seed=3)
    flags = {0: 0, 1: 0, 2: 0}
    for index in range(60):
        points, masks = dataset.field("keypoints", index).points, dataset.masks(index)
        for order, each in enumerate(points):
            for x, y, flag in each:
                flags[int(flag)] += 1
                if flag == 0:
                    assert (x, y) == (0, 0)
                    continue
                in_front = masks[order + 1 :, int(y), int(x)]
                assert flag == 1 or not in_front.any()
                assert 0 <= x < 96 and 0 <= y < 96
    assert min(flags.values()) > 10, flags
    assert Shapes(3, empty=1).field("keypoints", 0).array(8).shape == (8, 4, 3)
