"""How far two lists of detections are apart."""

from dataclasses import replace

import numpy as np

from detkit.detections import Detections
from detkit.export.check import Difference, compare


def detections(boxes, scores, labels):
    arrays = (np.array(boxes, "float32"), np.array(scores, "float32"), np.array(labels, "int32"))
    return Detections(*arrays, class_names=("cat", "dog"))


def test_the_difference_of_detections():
    expected = detections([[0, 0, 4, 4], [1, 1, 5, 5], [0, 0, 4, 4]], [0.9, 0.5, 0.5], [0, 0, 1])
    swapped = detections([[0, 0, 4, 4], [0, 0, 4, 4], [1, 1, 5, 5.5]], [0.9, 0.5, 0.25], [0, 1, 0])
    assert compare([expected], [expected]) == Difference()
    assert compare([expected, expected], [expected, swapped]) == Difference(0, 0.5, 0.25)
    fewer = detections([[0, 0, 4, 4]], [0.9], [0])
    elsewhere = detections([[9, 9, 13, 13]], [0.5], [0])
    assert compare([fewer], [elsewhere]) == Difference(missing=2)
    empty = detections([[3, 3, 3, 3]], [0.9], [0])
    assert compare([empty], [empty]) == Difference()
    assert compare([expected], [fewer]).missing == compare([fewer], [expected]).missing == 2


def test_the_share_of_keypoints_that_are_elsewhere():
    expected = detections([[0, 0, 4, 4], [5, 5, 9, 9]], [0.9, 0.5], [0, 0])
    points = np.arange(2 * 4 * 3, dtype="float32").reshape(2, 4, 3)
    moved = points.copy()
    moved[1, 0, 0] += 0.4
    moved[1, 2, 1] += 0.6
    posed, other = (replace(expected, keypoints=each) for each in (points, moved))
    assert compare([posed], [posed]) == Difference()
    assert compare([posed], [other]) == Difference(keypoints=0.25)
    assert compare([posed], [expected]) == compare([expected], [posed]) == Difference(keypoints=1)


def test_what_exceeds_a_tolerance():
    assert not Difference(0, 0.01).exceeds(Difference(0, 0.01))
    assert Difference(1).exceeds(Difference())
    assert Difference(scores=float("nan")).exceeds(Difference(scores=1))
