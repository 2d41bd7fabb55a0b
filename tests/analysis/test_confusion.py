"""The confusion matrix: its sums, and the matrix of each threshold counted one by one."""

import numpy as np
import pytest

from detkit.analysis.confusion import THRESHOLDS, confusion
from detkit.analysis.matches import IGNORED, match_all, match_image
from detkit.detections.of_dataset import paired
from support.evaluation import NAMES, detected, random_case

K = len(NAMES)


def matches(pairs):
    return match_all(pairs, [match_image(*pair) for pair in pairs], K)


def from_threshold(detections, threshold):
    """The detections of an image from a threshold on, as if there were no others."""
    columns = zip(detections.boxes, detections.scores, detections.labels)
    return detected(*(row for row in columns if row[1] >= np.float32(threshold)))


@pytest.mark.parametrize("seed", range(3))
def test_each_matrix_is_that_of_the_detections_from_its_threshold(seed):
    dataset, detections = random_case(seed, images=12)
    counts = confusion(matches(paired(dataset, detections)))
    assert counts.shape == (len(THRESHOLDS), K + 1, K + 1)
    for matrix, threshold in zip(counts, THRESHOLDS):
        expected = np.zeros((K + 1, K + 1), int)
        kept = {image: from_threshold(one, threshold) for image, one in detections.items()}
        for annotation, found in paired(dataset, kept):
            objects = match_image(annotation, found)
            for label, of_object in zip(found.labels, objects):
                if of_object != IGNORED:
                    expected[K if of_object < 0 else annotation.labels[of_object], label] += 1
            missed = ~annotation.difficult & ~np.isin(np.arange(len(annotation.labels)), objects)
            np.add.at(expected, (annotation.labels[missed], K), 1)
        assert (matrix == expected).all()


@pytest.mark.parametrize("seed", range(3))
def test_rows_sum_to_objects_and_columns_to_detections(seed):
    dataset, detections = random_case(seed, images=40, difficult=0)
    counts = confusion(matches(paired(dataset, detections)))
    labels = np.concatenate([dataset.annotation(i).labels for i in range(len(dataset))])
    assert (counts[:, :K].sum(2) == np.bincount(labels, minlength=K)).all()
    for matrix, threshold in zip(counts, THRESHOLDS):
        kept = [from_threshold(one, threshold).labels for one in detections.values()]
        expected = np.bincount(np.concatenate(kept), minlength=K)
        assert (matrix[:, :K].sum(0) == expected).all()
    assert (counts[:, K, K] == 0).all()


def test_thresholds_that_do_not_rise_are_refused():
    with pytest.raises(ValueError, match="thresholds: expected rising numbers"):
        confusion(matches(paired(*random_case(0))), [0.5, 0.4])
