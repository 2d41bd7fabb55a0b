"""Detection in tiles: painted objects at seams, on crossings and larger than a tile; memory."""

import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import detkit
from detkit.data.tiling import Tiling
from detkit.errors import DataError
from support.blobs import Blobs, blank, paint
from support.exports import KINDS, boxes_in, detector_of, photos
from support.predicting import FakeDetector

SCORES = {
    "all alike": lambda area: 0.9,
    "small ones are surer": lambda area: 0.4 + 0.5 / (1 + area / 1000),
    "large ones are surer": lambda area: 0.9 - 0.5 / (1 + area / 1000),
}


def painted(boxes, size=(300, 420)):
    image = blank(*size)
    for number, box in enumerate(boxes):
        paint(image, box, number)
    return image


def assert_found(found, boxes):
    assert sorted(found.boxes.tolist()) == sorted(list(map(float, box)) for box in boxes)


# Tiles of 150 with an overlap of 0.2 begin at 0, 120, 150 downwards and at 0, 120, 240, 270 across.
@pytest.mark.parametrize("merge", ["nms", "soft_nms"])
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    "box",
    [
        (130, 20, 145, 40),  # within what two tiles share
        (100, 20, 125, 40),  # begins before the second tile
        (135, 20, 160, 40),  # ends behind the first tile
        (118, 118, 150, 150),  # at a crossing of four tiles
        (125, 125, 148, 148),  # in four tiles as a whole
        (0, 0, 30, 30),  # in a corner of the image
        (390, 270, 420, 300),
        (270, 0, 420, 150),  # a whole tile
    ],
)
def test_an_object_at_a_seam_is_found_once(box, score, merge):
    image = painted([box])
    for whole in (False, True):
        found = Blobs(SCORES[score]).detect(image, tiles=Tiling(150, whole=whole, merge=merge))
        kept = found[found.scores > 0.2] if merge == "soft_nms" else found
        assert_found(kept, [box])


def test_an_object_that_no_tile_sees_whole_is_found_as_the_larger_piece():
    image = painted([(115, 20, 151, 40)])  # tiles end at 150 and begin at 120
    assert_found(Blobs().detect(image, tiles=Tiling(150, whole=False)), [(115, 20, 150, 40)])
    assert_found(Blobs().detect(image, tiles=Tiling(150)), [(115, 20, 151, 40)])


@pytest.mark.parametrize("score", SCORES)
def test_an_object_larger_than_a_tile_is_found_once(score):
    boxes = [(20, 10, 400, 110), (30, 130, 90, 290), (150, 120, 410, 290)]
    image = painted(boxes)
    assert_found(Blobs(SCORES[score]).detect(image, tiles=150), boxes)
    found = Blobs(SCORES[score]).detect(image, tiles=Tiling(150, whole=False))
    assert len(found) == len(boxes)  # a piece of each


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(*[st.integers(0, 13), st.integers(0, 9)]), unique=True), st.booleans())
def test_small_objects_anywhere_are_found_once_each(places, whole):
    """Objects of 24 pixels on a grid of 30: whole in one of the tiles, which share 30."""
    boxes = [(30 * x + 3, 30 * y + 2, 30 * x + 27, 30 * y + 26) for x, y in places]
    found = Blobs().detect(painted(boxes), tiles=Tiling(150, whole=whole))
    assert_found(found, boxes)


def test_tiles_find_what_the_whole_is_too_coarse_for():
    boxes = [(200, 100, 212, 112), (20, 30, 180, 250)]
    detector = Blobs(least=0.05)
    assert_found(detector.detect(painted(boxes)), boxes[1:])
    assert_found(detector.detect(painted(boxes), tiles=150), boxes)


@pytest.mark.parametrize("parts", ["masks", "keypoints"])
def test_masks_and_keypoints_move_along(parts):
    boxes = [(118, 118, 150, 150), (300, 200, 320, 230)]
    found = Blobs(parts=parts).detect(painted(boxes), tiles=150)
    assert_found(found, boxes)
    for one in found:
        x1, y1, x2, y2 = one.box.astype(int).tolist()
        if parts == "masks":
            assert one.mask().shape == found.image_size == (300, 420)
            x, y, w, h = cv2.boundingRect((one.mask() >= 0.5).astype(np.uint8))
            np.testing.assert_allclose([x, y, x + w, y + h], [x1, y1, x2, y2], atol=1)
        else:
            assert one.keypoints[:, :2].tolist() == [[x1, y1], [x2, y2]]


def test_an_image_that_is_no_larger_than_a_tile_is_seen_once():
    image, detector = painted([(10, 10, 40, 40)]), Blobs()
    assert detector.detect(image, tiles=420) == detector.detect(image)
    assert detector.shapes == [(1, 300, 420, 3)] * 2


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 99])
def test_batches_of_tiles_have_one_shape(batch):
    detector = Blobs()
    detector.detect(painted([]), tiles=Tiling(150, batch=batch))
    *tiles, whole = detector.shapes
    assert whole == (1, 300, 420, 3)
    assert len(set(tiles)) == 1 and tiles[0][0] <= batch
    assert 12 <= sum(shape[0] for shape in tiles) < 12 + len(tiles)


def test_several_images_the_score_and_the_threshold():
    images = [painted([(0, 0, 20, 20)]), painted([], (40, 50)), painted([(130, 0, 250, 9)])]
    found = Blobs(SCORES["large ones are surer"]).detect(images, tiles=100)
    assert [len(each) for each in found] == [1, 0, 1]
    assert len(Blobs(SCORES["all alike"]).detect(images[0], tiles=100, score=0.95)) == 0
    assert Blobs().detect([], tiles=100) == []


def test_the_order_of_colours_is_that_of_the_image():
    """A picture of which only the red one is found."""
    image = painted([(0, 0, 20, 20)])
    assert len(Blobs().detect(image[..., ::-1], tiles=100, channels="BGR")) == 1
    assert len(Blobs().detect(image[..., ::-1], tiles=100)) == 0


@pytest.mark.parametrize("kind", ["FasterRCNN", "MaskRCNN", "KeypointRCNN"])
def test_a_tile_as_large_as_the_image_is_the_plain_detector(small_model, kind):
    detector = detector_of(KINDS[kind](small_model))
    for image in photos((64, 80)):
        assert detector.detect(image, tiles=80) == detector.detect(image)
        more = detector.detect(image, tiles=40)
        assert len(more) and more.image_size in (None, (64, 80))


def test_proposals_are_those_of_the_tile(small_model):
    detector, (image,) = detector_of(small_model(kind=detkit.models.FastRCNN)), photos((64, 80))
    (boxes,) = boxes_in([image])
    assert detector.detect(image, boxes, tiles=80) == detector.detect(image, boxes)
    (seen,) = detector.batch([image[:40, :40]], [boxes]).proposals
    at = np.array([40, 24, 40, 24])  # of the last of the tiles
    (last,) = detector.batch([image[24:, 40:]], [boxes - at]).proposals
    given, own = [], detector.batch
    detector.batch = lambda images, proposals: given.append(own(images, proposals)) or given[-1]
    found = detector.detect(image, boxes, tiles=Tiling(40, 0, whole=False, batch=1))
    assert len(found)
    np.testing.assert_allclose(given[0].proposals[0], seen, atol=1e-4)
    np.testing.assert_allclose(given[-1].proposals[0], last, atol=1e-4)
    assert len(given) == 4 and not np.array_equal(seen, last)


def test_missing_proposals_are_an_error(small_model):
    with pytest.raises(DataError, match="proposals: "):
        detector_of(small_model(kind=detkit.models.FastRCNN)).detect(*photos((64, 80)), tiles=48)


@pytest.mark.parametrize("tiles", [0, -5, "640", 6.5, True])
def test_what_is_no_tile(tiles):
    with pytest.raises(DataError, match="detkit.Tiling") as error:
        Blobs().detect(painted([]), tiles=tiles)
    assert repr(tiles) in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [("merge", "soft"), ("iou", 0), ("iou", 1.5), ("batch", 0), ("overlap", 1), ("size", 0)],
)
def test_a_tiling_that_cannot_be(key, value):
    with pytest.raises(ValueError, match=f"{key}: expected") as error:
        Tiling(**{"size": 64, key: value})
    assert repr(value) in str(error.value)


def test_the_largest_images_of_a_detector_have_its_limit(tmp_path):
    cv2.imwrite(str(tmp_path / "big.png"), blank(1100, 1100))
    assert FakeDetector.max_pixels < 1100 * 1100
    with pytest.raises(detkit.errors.ImageError, match="big.png"):
        detkit.data.tiling.Tiled(FakeDetector(), Tiling(64)).batch([str(tmp_path / "big.png")])


@pytest.mark.slow
def test_no_copy_of_a_large_image_is_made(small_model):
    """An image of 0.2 GB, whose floats would take 0.8 GB."""
    image = np.full((8000, 8000, 3), 90, np.uint8)
    detector = detector_of(KINDS["FasterRCNN"](small_model))
    tracemalloc.start()
    try:
        found = detector.detect(image, tiles=2600)
        assert len(found) and tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
