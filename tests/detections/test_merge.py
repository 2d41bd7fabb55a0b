"""Detections of overlapping views become those of the image, as in plain loops."""

import numpy as np
import pytest

from detkit.data.tiles import cover
from detkit.detections import Detections
from detkit.detections.merge import NMS, SOFT_NMS, Seen, merged
from support import merging

NAMES = ("one", "other")
SIZE = (150, 220)


def found(boxes, scores, labels=None, **more):
    count = len(boxes)
    labels = [0] * count if labels is None else labels
    arrays = (np.reshape(boxes, (-1, 4)), "f"), (scores, "f"), (labels, "i")
    return Detections(*(np.array(*each) for each in arrays), NAMES, **more)


def random_views(seed, count=12):
    """Detections that jump to the borders of their tiles, as cut objects do."""
    rng = np.random.default_rng(seed)
    seen = []
    for tile in [*cover(*SIZE, 80, 0.3), (0, 0, SIZE[1], SIZE[0])]:
        sides = np.array([tile[2] - tile[0], tile[3] - tile[1]])
        first = rng.uniform(-0.2, 0.8, (count, 2)) * sides
        last = first + rng.uniform(0.1, 0.9, (count, 2)) * sides
        boxes = np.clip(np.hstack([first, last]), 0, np.tile(sides, 2))
        scores = np.sort(rng.uniform(0.01, 1, count))[::-1]
        seen.append(Seen(found(boxes, scores, rng.integers(0, 2, count)), tuple(tile)))
    return seen


def rows_of(seen):
    rows = []
    for one, view in seen:
        boxes = one.boxes + np.tile(np.array(view[:2], np.float32), 2)
        for box, score, label in zip(boxes.tolist(), one.scores.tolist(), one.labels.tolist()):
            rows.append(merging.Row(box, score, label, view, SIZE))
    return rows


@pytest.mark.parametrize("rule", [NMS, SOFT_NMS])
@pytest.mark.parametrize("iou", [0.3, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_the_rules_are_those_of_plain_loops(rule, iou, seed):
    seen = random_views(seed)
    expected = merging.merged(rows_of(seen), iou, soft=rule == SOFT_NMS)
    ours = merged(seen, SIZE, rule, iou)
    total = sum(len(one) for one, _ in seen)
    assert 20 < len(expected) < total
    assert ours.boxes.tolist() == [row.box for row in expected]
    assert ours.labels.tolist() == [row.label for row in expected]
    np.testing.assert_allclose(ours.scores, [row.score for row in expected], atol=1e-6)
    assert (np.diff(ours.scores) <= 0).all()


def test_one_view_stays_as_it_is():
    boxes = [[0, 0, 50, 50], [0, 0, 50, 49], [2, 2, 40, 40]]
    alone = found(boxes, [0.9, 0.8, 0.7])
    assert merged([Seen(alone, (0, 0, 220, 150))], SIZE, NMS, 0.5) == alone


def test_detections_of_one_view_do_not_suppress_each_other():
    """The detector has decided on them by its own NMS."""
    near = found([[10, 10, 50, 50], [10, 10, 50, 45]], [0.9, 0.8])
    views = [Seen(near, (0, 0, 100, 150)), Seen(found([], []), (80, 0, 220, 150))]
    assert len(merged(views, SIZE, NMS, 0.5)) == 2


def two_tiles(left, right, scores=(0.9, 0.8), labels=(0, 0)):
    """The rest of one box in each of two tiles that have x from 80 to 120 in common."""
    one = found([left], scores[:1], labels[:1])
    other = found([np.subtract(right, (80, 0, 80, 0))], scores[1:], labels[1:])
    return merged([Seen(one, (0, 0, 120, 150)), Seen(other, (80, 0, 220, 150))], SIZE, NMS, 0.5)


def test_a_piece_gives_way_to_the_whole_object_which_takes_the_higher_score():
    (one,) = two_tiles([90, 20, 120, 60], [90, 20, 140, 60])
    assert one.box.tolist() == [90, 20, 140, 60] and one.score == np.float32(0.9)


def test_of_two_pieces_the_larger_one_stays():
    """Their IoU is 0.2, and each is mostly outside of the other."""
    (one,) = two_tiles([0, 20, 120, 60], [80, 20, 200, 60], scores=(0.6, 0.9))
    assert one.box.tolist() == [80, 20, 200, 60]  # as large, and of a higher score
    (one,) = two_tiles([0, 20, 120, 60], [80, 20, 190, 60])
    assert one.box.tolist() == [0, 20, 120, 60]


def test_a_piece_is_no_other_object():
    assert len(two_tiles([90, 20, 120, 60], [90, 20, 140, 60], labels=(0, 1))) == 2
    assert len(two_tiles([0, 20, 120, 60], [80, 70, 200, 120])) == 2
    # Something that the detector hardly believes in does not take the place of a sure object.
    (one,) = two_tiles([60, 20, 120, 60], [85, 10, 160, 70], scores=(0.9, 0.1))
    assert one.box.tolist() == [60, 20, 120, 60] or one.score == np.float32(0.9)
    left, right = [60, 20, 120, 60], [80, 0, 219, 149]
    scores = [one.score for one in two_tiles(left, right, scores=(0.9, 0.1))]
    assert scores == [np.float32(0.9)]


def test_an_object_at_the_border_of_the_image_is_not_cut():
    ours = two_tiles([0, 20, 50, 60], [81, 0, 120, 40])
    assert len(ours) == 2


def test_an_object_across_many_views_is_found_once():
    size, tiles = (60, 400), cover(60, 400, 60, 0.3)
    seen = [Seen(found([[0, 10, 60, 50]], [0.5 + 0.01 * n]), t) for n, t in enumerate(tiles)]
    assert len(tiles) > 8 and len(merged(seen, size, NMS, 0.5)) == 1


def test_masks_and_keypoints_are_moved():
    probabilities = np.random.default_rng(0).random((1, 14, 14)).astype("f")
    points = np.array([[[5, 6, 0.5], [7, 8, 0.25]]], "f")
    more = {"mask_probs": probabilities, "image_size": (150, 140), "keypoints": points}
    there = found([[4, 5, 20, 30]], [0.9], **more)
    empty = {**more, "mask_probs": probabilities[:0], "keypoints": points[:0]}
    views = [Seen(found([], [], **empty), (0, 0, 120, 150)), Seen(there, (80, 10, 220, 150))]
    (one,) = ours = merged(views, SIZE, NMS, 0.5)
    assert ours.image_size == SIZE and one.box.tolist() == [84, 15, 100, 40]
    assert one.keypoints.tolist() == [[85, 16, 0.5], [87, 18, 0.25]]
    np.testing.assert_array_equal(ours.mask_probs, probabilities)
    assert one.mask().shape == SIZE
    np.testing.assert_array_equal(one.mask()[10:, 80:], there.mask(0)[:140])
