"""Matches of detections with objects of any class."""

import numpy as np

from detkit.analysis.matches import IGNORED, NOTHING, assign, match_all, match_image
from detkit.detections.of_dataset import paired
from support.evaluation import Dataset, detected, square


def matched(objects, *rows, crowds=False):
    ((annotation, detections),) = paired(Dataset({1: objects}), {1: detected(*rows)})
    return match_image(annotation, detections, crowds=crowds).tolist()


def test_an_object_of_the_own_class_comes_before_a_nearer_one_of_another():
    objects = [(square(0), 0), (square(2), 1)]
    assert matched(objects, (square(0), 0.9, 1)) == [1]
    assert matched(objects, (square(0), 0.9, 2)) == [0]


def test_the_better_detection_takes_the_object():
    objects = [(square(0), 0)]
    assert matched(objects, (square(0), 0.5, 0), (square(1), 0.6, 0)) == [NOTHING, 0]
    assert matched(objects, (square(6), 0.5, 0)) == [NOTHING]
    assert matched([], (square(6), 0.5, 0)) == [NOTHING]


def test_what_lies_on_a_difficult_object_of_its_class_does_not_count():
    objects = [(square(0, side=40), 0, True)]
    rows = [(square(0, side=40), 0.5, label) for label in (0, 1)]
    assert matched(objects, *rows) == [IGNORED, NOTHING]
    assert matched(objects, (square(5), 0.5, 0)) == [NOTHING]
    assert matched(objects, (square(5), 0.5, 0), crowds=True) == [IGNORED]


def test_a_column_is_given_once():
    rank = np.array([[0.5, 0.9], [0.6, 0.7], [0, 0]])
    assert assign(rank, np.array([0.1, 0.2, 0.3])).tolist() == [0, 1, NOTHING]
    assert rank[0, 1] == 0.9


def test_the_matches_of_a_dataset_have_the_labels_of_the_objects():
    dataset = Dataset({1: [(square(0), 2)], 2: [(square(0), 1), (square(50), 1, True)]})
    detections = {1: detected((square(0), 0.9, 0), (square(40), 0.8, 1)), 2: detected()}
    pairs = paired(dataset, detections)
    found = match_all(pairs, [match_image(*pair) for pair in pairs], 3)
    assert found.found.tolist() == [2, NOTHING]
    assert found.labels.tolist() == [0, 1]
    assert found.objects.tolist() == [0, 1, 1]
