"""Tiles of a dataset: their objects, masks, keypoints and proposals are those of their pixels."""

import numpy as np
import pytest

from detkit.data import Repeat, Subset, Tiles, load_proposals
from detkit.data.loader import Loader
from detkit.data.tiles import cover
from detkit.detections import Detections
from detkit.detections.proposal_files import save_proposals
from detkit.errors import DataError, ImageError
from support import tiny
from support.painted import Painted, colour


class Counted(Painted):
    """It counts the images that are read."""

    read = 0

    def image(self, index):
        self.read += 1
        return super().image(index)


def places(tiles):
    """The id of the image and the corner of each tile."""
    ids = (tiles.annotation(n).image_id.split(":") for n in range(len(tiles)))
    return [(int(image), *map(int, corner.split(","))) for image, corner in ids]


@pytest.fixture
def painted():
    return Painted(length=9, size=(60, 90))


def test_tiles_are_those_of_the_cover(painted):
    tiles = Tiles(painted, size=32, overlap=0.25)
    expected = []
    for n in range(len(painted)):
        one = painted.annotation(n)
        expected += [(n, t.x1, t.y1) for t in cover(one.height, one.width, 32, 0.25)]
    assert places(tiles) == expected
    for index, (n, x, y) in enumerate(expected):
        np.testing.assert_array_equal(tiles.image(index), painted.image(n)[y : y + 32, x : x + 32])
        one = tiles.annotation(index)
        assert (one.height, one.width) == tiles.image(index).shape[:2]
    assert tiles.class_names == painted.class_names
    assert tiles.keypoint_names == painted.keypoint_names


def test_objects_are_those_of_the_pixels(painted):
    """Each object has a colour of its own: its box is that of its pixels in the tile."""
    tiles, seen = Tiles(painted, size=32, min_visible=0.4), 0
    for index, (n, _, _) in enumerate(places(tiles)):
        image, masks, one = tiles.image(index), tiles.masks(index), tiles.annotation(index)
        whole, whole_masks = painted.annotation(n), painted.masks(n)
        assert len(masks) == len(one.boxes) == len(one.labels) == len(one.difficult)
        visible = []
        for row, label in enumerate(whole.labels):
            pixels = (image == colour(label)).all(axis=2)
            if pixels.any():
                visible.append(label)
                here = one.labels.tolist().index(label)
                ys, xs = np.nonzero(pixels)
                corners = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
                assert one.boxes[here].tolist() == corners
                np.testing.assert_array_equal(masks[here], pixels)
                share = pixels.sum() / whole_masks[row].sum()
                assert one.difficult[here] == (whole.difficult[row] or share < 0.4)
                seen += share < 1
        assert one.labels.tolist() == visible
    assert seen > 20


def test_boxes_alone_are_cut_and_their_areas(painted):
    class Boxes(Painted):
        def annotation(self, index):
            one = super().annotation(index)
            return one._replace(areas=(one.boxes[:, 2:] - one.boxes[:, :2]).prod(axis=1) / 2)

        def masks(self, index):
            return None

    dataset = Boxes(length=3)
    tiles = Tiles(dataset, size=24, min_visible=0.5)
    assert tiles.masks(0) is None
    for index, (n, x, y) in enumerate(places(tiles)):
        one, whole = tiles.annotation(index), dataset.annotation(n)
        shift = np.array([x, y, x, y])
        boxes = np.clip(whole.boxes - shift, 0, [one.width, one.height] * 2)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        rows = areas > 0
        np.testing.assert_array_equal(one.boxes, boxes[rows])
        np.testing.assert_allclose(one.areas, areas[rows] / 2, rtol=1e-5)
        shares = areas / (whole.boxes[:, 2:] - whole.boxes[:, :2]).prod(axis=1)
        np.testing.assert_array_equal(one.difficult, (whole.difficult | (shares < 0.5))[rows])


def test_keypoints_move_along(painted):
    tiles, labelled = Tiles(painted, size=32), 0
    for index in range(len(tiles)):
        one, image = tiles.annotation(index), tiles.image(index)
        points = tiles.field("keypoints", index).array(len(one.boxes))
        for label, pair in zip(one.labels, points):
            for x, y, flag in pair[pair[:, 2] > 0]:
                assert image[int(y), int(x)].tolist() == colour(label).tolist() and flag == 2
                labelled += 1
    assert labelled > 20


def test_a_field_that_cannot_be_cut_is_refused(painted):
    class Plain:
        def take(self, rows):
            return self

    painted.field = lambda name, index: Plain()
    with pytest.raises(DataError, match="'x': expected the methods of detkit.*MovingField"):
        Tiles(painted, size=32).field("x", 0)


@pytest.mark.parametrize("share", [0, 0.25, 1])
def test_a_share_of_the_empty_tiles_is_kept(painted, share):
    everything = Tiles(painted, size=24)
    empty = [everything.annotation(n).difficult.all() for n in range(len(everything))]
    tiles = Tiles(painted, size=24, empty=share, seed=3)
    left = [tiles.annotation(n).difficult.all() for n in range(len(tiles))]
    assert left.count(False) == empty.count(False) > 10
    assert left.count(True) == round(share * empty.count(True))
    assert places(tiles) == sorted(places(tiles), key=places(everything).index)
    assert places(tiles) == places(Tiles(painted, size=24, empty=share, seed=3))
    if share == 0.25:
        assert places(tiles) != places(Tiles(painted, size=24, empty=share, seed=4))


def test_an_image_is_read_once_for_its_tiles_and_not_before():
    dataset = Counted(length=6, size=(60, 90))
    tiles = Tiles(dataset, size=32)
    loader = Loader(tiles, (), batch_size=2, masks=True, fields=["keypoints"])
    assert dataset.read == 0
    batches = list(loader.batches(0))
    assert sum(len(batch.images) for batch in batches) == len(tiles)
    assert dataset.read == len(dataset)


def test_a_tile_does_not_keep_its_image(painted):
    assert Tiles(painted, size=32).image(0).base is None


def test_an_image_smaller_than_its_annotation_is_bad(painted):
    class Wrong(Painted):
        def image(self, index):
            return super().image(index)[:20, :20]

    tiles = Tiles(Wrong(length=1, size=(60, 90)), size=32)
    with pytest.raises(ImageError, match="found a smaller image"):
        tiles.image(len(tiles) - 1)


def test_proposals_are_cut(painted, tmp_path):
    class OneClass(Painted):
        class_names = ("object",)

        def annotation(self, index):
            one = super().annotation(index)
            return one._replace(labels=np.zeros_like(one.labels))

    dataset = OneClass(length=4, size=(60, 90))
    rng, found = np.random.default_rng(0), {}
    for n in range(4):
        corner = rng.uniform(0, 30, (40, 2))
        boxes = np.hstack([corner, corner + rng.uniform(2, 25, (40, 2))]).astype("f")
        scores = np.sort(rng.random(40))[::-1].astype("f")
        found[n] = Detections(boxes, scores, np.zeros(40, np.int32), ("object",))
    save_proposals(tmp_path / "p.npz", found, dataset)
    tiles = Tiles(dataset, size=32)
    given = load_proposals(str(tmp_path / "p.npz"), tiles, limit=9)
    assert len(given) == len(tiles) and max(map(len, given.values())) == 9
    for index, (n, x, y) in enumerate(places(tiles)):
        one = tiles.annotation(index)
        boxes = np.clip(found[n].boxes - np.float32([x, y, x, y]), 0, [one.width, one.height] * 2)
        boxes = boxes[((boxes[:, 2:] - boxes[:, :2]) >= 1).all(axis=1)][:9]
        np.testing.assert_array_equal(given[one.image_id], boxes)
    loader = Loader(tiles, (), batch_size=2, proposals=given)
    assert next(iter(loader.batches(0))).proposals.shape[2] == 4


def test_it_wraps_and_is_wrapped(painted):
    tiles = Tiles(Subset(painted, 2), size=32)
    again = Repeat(tiles, 2)
    assert len(again) == 2 * len(tiles) and again.image(0).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("key", "value"),
    [("size", 0), ("overlap", 0.95), ("min_visible", 1.5), ("empty", -0.1), ("seed", -1)],
)
def test_what_cannot_be(painted, key, value):
    with pytest.raises(ValueError, match=f"{key}: expected") as error:
        Tiles(painted, **{"size": 32, key: value})
    tiny.assert_says(str(error.value), repr(value))


def test_no_tile_left(painted):
    class Nothing(Painted):
        def annotation(self, index):
            one = super().annotation(index)
            return one._replace(difficult=np.ones_like(one.difficult))

    with pytest.raises(ValueError, match="empty: expected"):
        Tiles(Nothing(length=2), size=32, empty=0)
