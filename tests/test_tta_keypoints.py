"""Test-time augmentation of keypoints: their places in mirrored views."""

import numpy as np
import pytest

from detkit.errors import ConfigError
from detkit.tta import TTA, TTADetector
from support.exports import KINDS, detector_of, photos


def test_keypoints_of_mirrored_images_change_places(small_model):
    """The small head has keypoints 0 to 4."""
    (image,) = photos((64, 80))
    pairs = {"horizontal": [[0, 1], [4, 2]]}
    detector = detector_of(KINDS["KeypointRCNN"](small_model), [])
    merged = TTADetector(detector, TTA(keypoint_pairs=pairs))
    upright, mirrored = merged.detect(image), merged.detect(np.ascontiguousarray(image[:, ::-1]))
    assert len(upright.boxes) > 2
    for found, other in zip(upright.keypoints, mirrored.keypoints):
        back = other[[1, 0, 4, 3, 2]]
        back[:, 0] = 80 - back[:, 0]
        near = np.abs(found - back)[:, :2].max(axis=1) < 0.1
        assert near.mean() >= 0.6  # a flat heatmap of random weights has several best places


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (None, "horizontal.*found None"),
        ({"horizontal": [[0, 5]]}, "0 to 4.*5"),
        ({"horizontal": [[0, 0]]}, "different"),
        ({"horizontal": [0, 1]}, "pairs"),
        ({"horizontal": [[0, 1], [1, 2]]}, "different"),
    ],
)
def test_wrong_pairs_of_keypoints(small_model, pairs, said):
    detector = detector_of(KINDS["KeypointRCNN"](small_model))
    with pytest.raises(ConfigError, match=said):
        TTADetector(detector, TTA(keypoint_pairs=pairs))


def test_pairs_of_an_unknown_flip():
    with pytest.raises(ValueError, match="keypoint_pairs: .*'diagonal'"):
        TTA(keypoint_pairs={"diagonal": []})


def test_the_pairs_of_a_person_are_known():
    orders = TTA(flips=["horizontal"]).keypoint_orders(17)
    assert orders["horizontal"] == [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    assert orders[None] == list(range(17))
