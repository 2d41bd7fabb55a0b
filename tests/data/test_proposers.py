"""Proposals without a network: the grid by its definition, Selective Search with a known search."""

import cv2
import numpy as np
import pytest

from detkit.data import Shapes, propose, selective_search, sliding_windows
from detkit.detections.overlap import pairwise_iou
from detkit.errors import DetkitError, ImageError
from support.pictures import Pictures

HAS_XIMGPROC = hasattr(cv2, "ximgproc")
needs_ximgproc = pytest.mark.skipif(not HAS_XIMGPROC, reason="needs opencv-contrib-python")


def rng(seed=0):
    return np.random.default_rng(seed)


# --- sliding windows ------------------------------------------------------------------------------


def by_shape(windows):
    """{(height, width): corners (n, 2)} of windows."""
    shapes = {}
    for x1, y1, x2, y2 in windows.tolist():
        shape = round(y2 - y1, 2), round(x2 - x1, 2)
        shapes.setdefault(shape, []).append((round(x1, 3), round(y1, 3)))
    return shapes


def least_distance(height, width, h, w, count):
    """The smallest distance of neighbours of any grid of at most ``count`` windows, by trying."""
    return min(
        max((width - w) / max(x - 1, 1), (height - h) / max(y - 1, 1))
        for x in range(1, count + 1)
        for y in range(1, count // x + 1)
    )


@pytest.mark.parametrize(("height", "width"), [(120, 200), (200, 120), (64, 64), (16, 300)])
def test_windows_of_a_shape_are_a_grid_of_the_least_distance(height, width):
    windows = sliding_windows(height, width, rng(), count=700)
    assert windows.dtype == np.float32
    assert 0 < len(windows) <= 700
    assert (windows[:, :2] >= 0).all() and (windows[:, 2:] <= [width, height]).all()
    shapes, sizes = by_shape(windows), int(2 * np.log2(min(height, width) / 16)) + 1
    share = 700 // (3 * sizes)
    for (h, w), corners in shapes.items():
        x, y = (sorted(set(each)) for each in zip(*corners))
        assert sorted(corners) == [(a, b) for a in x for b in y]
        assert len(corners) <= share
        distances = [max([*np.diff(each), 0]) for each in (x, y)]
        for places, free in ((x, width - w), (y, height - h)):
            expected = np.linspace(0, free, len(places)) if len(places) > 1 else [free / 2]
            np.testing.assert_allclose(places, expected, atol=0.02)
            distances.append(free if len(places) == 1 else 0)
        assert max(distances) <= least_distance(height, width, h, w, share) + 0.05


def test_sizes_halve_their_area_down_to_the_smallest():
    windows = sliding_windows(160, 320, rng(), count=3000, smallest=20, ratios=(1,))
    sides = sorted({h for h, _ in by_shape(windows)}, reverse=True)
    np.testing.assert_allclose(sides, 160 * 2.0 ** (-np.arange(7) / 2), atol=0.02)
    tall = sliding_windows(160, 320, rng(), count=3000, smallest=80, ratios=(0.25, 4))
    assert set(by_shape(tall)) == {
        *((80, 320), (56.57, 226.27), (40, 160)),
        *((160, 80), (160, 56.57), (160, 40)),  # their height is the image's
    }


def test_many_windows_overlap_every_object():
    windows = sliding_windows(240, 320, rng(), count=20000)
    draw = rng(1)
    sides = draw.uniform(24, 200, (300, 1)) * np.sqrt([1, 1]) * draw.uniform(0.75, 1.25, (300, 2))
    corners = draw.uniform(0, 1, (300, 2)) * ([320, 240] - sides)
    best = pairwise_iou(windows, np.hstack([corners, corners + sides])).max(axis=0)
    assert (best > 0.5).mean() > 0.97


def test_the_order_is_random_and_belongs_to_the_generator():
    one, same, other = (sliding_windows(60, 90, rng(seed), 400) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert sorted(one.tolist()) == sorted(other.tolist())
    assert sliding_windows(1, 1, rng(), ratios=(1,)).tolist() == [[0, 0, 1, 1]]
    assert len(sliding_windows(60, 90, rng(), 1)) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"height": 0}, "height: .*1, found 0"),
        ({"count": 0}, "count: .*1, found 0"),
        ({"smallest": 0}, "above 0, found smallest=0"),
        ({"ratios": (1, -1)}, r"above 0, found .*ratios=\(1, -1\)"),
        ({"ratios": ()}, r"ratios=\(\)"),
    ],
)
def test_numbers_of_windows_are_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        sliding_windows(**{"height": 9, "width": 9, "rng": rng(), **wrong})


# --- Selective Search -----------------------------------------------------------------------------


class Search:
    """A search whose boxes are known, and which notes what it is given."""

    def __init__(self, boxes):
        self.boxes, self.image, self.mode = boxes, None, None

    def createSelectiveSearchSegmentation(self):
        return self

    def setBaseImage(self, image):
        self.image = image

    def switchToSelectiveSearchFast(self):
        self.mode = "fast"

    def switchToSelectiveSearchQuality(self):
        self.mode = "quality"

    def process(self):
        return self.boxes


@pytest.fixture
def search(monkeypatch):
    """A function that puts a Search with these boxes x, y, width, height into OpenCV."""

    def put(*boxes):
        found = Search(np.array(boxes, np.int32).reshape(-1, 4))
        module = type("ximgproc", (), {"segmentation": found})
        monkeypatch.setattr(cv2, "ximgproc", module, raising=False)
        return found

    return put


def test_boxes_come_back_to_the_pixels_of_the_image(search):
    known = search((0, 0, 50, 25), (10, 5, 20, 10))
    image = rng().integers(0, 256, (100, 200, 3), dtype=np.uint8)
    boxes = selective_search(image, rng(), "quality", side=50)
    assert sorted(boxes.tolist()) == [[0, 0, 200, 100], [40, 20, 120, 60]]
    assert boxes.dtype == np.float32
    assert (known.mode, known.image.shape) == ("quality", (25, 50, 3))
    boxes = selective_search(image, rng(), side=1000)
    assert sorted(boxes.tolist()) == [[0, 0, 50, 25], [10, 5, 30, 15]]
    assert known.mode == "fast"
    np.testing.assert_array_equal(known.image, image[:, :, ::-1])  # OpenCV's colours are BGR


def test_an_image_without_a_box(search):
    search()
    assert selective_search(np.zeros((9, 9, 3), np.uint8), rng()).shape == (0, 4)


def test_the_order_follows_the_paper_and_not_opencv(search):
    """The mean place of the largest of n boxes is the first, and each generator has its order."""
    boxes = [(0, 0, side, side) for side in range(1, 41)]
    image, places = np.zeros((40, 40, 3), np.uint8), []
    for seed in range(200):
        search(*rng(seed).permutation(boxes))
        found = selective_search(image, rng(seed))[:, 2]
        places.append(np.argsort(-found))  # of the largest box, the second largest, ...
        search(*boxes)
        np.testing.assert_array_equal(selective_search(image, rng(seed))[:, 2], found)
    means = np.mean(places, axis=0)
    assert np.corrcoef(means, np.arange(40))[0, 1] > 0.95
    assert means[0] < 5
    assert len({tuple(order) for order in places}) == 200


@pytest.mark.skipif(HAS_XIMGPROC, reason="OpenCV has ximgproc")
def test_without_ximgproc_the_package_is_named():
    with pytest.raises(DetkitError, match=r"(?s)ximgproc.*opencv-contrib-python.*pip install"):
        selective_search(np.zeros((9, 9, 3), np.uint8), rng())


@pytest.mark.parametrize("wrong", [{"mode": "slow"}, {"side": 0}])
def test_arguments_of_the_search_are_checked(wrong):
    with pytest.raises(ValueError, match="fast, quality .*at least 1, found"):
        selective_search(np.zeros((9, 9, 3), np.uint8), rng(), **wrong)


@needs_ximgproc
@pytest.mark.parametrize("mode", ["fast", "quality"])
def test_opencvs_search_finds_what_stands_out(mode):
    image = np.full((120, 160, 3), 40, np.uint8)
    image[20:70, 30:100] = (200, 30, 30)
    image[80:110, 110:150] = (20, 180, 60)
    one, same = (selective_search(image, rng(), mode) for _ in range(2))
    np.testing.assert_array_equal(one, same)
    objects = np.float32([[30, 20, 100, 70], [110, 80, 150, 110]])
    assert (pairwise_iou(one, objects).max(axis=0) > 0.8).all()


@needs_ximgproc
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 7), (64, 64)])
def test_opencvs_search_takes_the_smallest_images(size):
    image = rng().integers(0, 256, (*size, 3), dtype=np.uint8)
    boxes = selective_search(image, rng())
    assert len(boxes) and (boxes >= 0).all() and (boxes <= [*size[::-1]] * 2).all()


# --- a dataset ------------------------------------------------------------------------------------


def windows_of(image, generator):
    return sliding_windows(*image.shape[:2], generator, 300)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_image_has_its_proposals_whoever_makes_them(workers):
    dataset = Shapes(10, size=(40, 60))
    found = dict(propose(dataset, windows_of, 120, seed=5, workers=workers))
    assert list(found) == [dataset.annotation(index).image_id for index in range(10)]
    for index, proposals in enumerate(found.values()):
        expected = windows_of(dataset.image(index), rng([5, index]))[:120]
        np.testing.assert_array_equal(proposals.boxes, expected)
        assert proposals.scores[0] == 1 and (np.diff(proposals.scores) < 0).all()
        assert proposals.scores.min() > 0 and not proposals.labels.any()
        assert proposals.class_names == ("object",)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_cannot_be_decoded_has_its_error(workers):
    dataset = Pictures([(32, 32)] * 5, broken=[3])
    found = list(propose(dataset, windows_of, 9, workers=workers))
    assert [isinstance(each, ImageError) for _, each in found] == [False] * 3 + [True, False]
    assert str(found[3][1]) == "3.jpg: JPEG truncated after 3 bytes"
