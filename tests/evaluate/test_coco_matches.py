"""The hits by COCO's rule are those that pycocotools finds in each image."""

import numpy as np
import pytest

from detkit.detections.of_dataset import paired
from detkit.evaluate.coco import entries_of
from detkit.evaluate.coco_matches import AP_IOUS, coco_matches
from support.coco_reference import CASES, by_pycocotools
from support.evaluation import NAMES


@pytest.mark.parametrize("dataset, detections", CASES)
def test_the_matches_are_those_of_pycocotools(dataset, detections):
    pairs = paired(dataset, detections)
    expected = by_pycocotools(*entries_of(pairs), len(NAMES), "bbox")
    areas, images = len(expected.params.areaRng), len(pairs)
    for label, found in enumerate(coco_matches(pairs, len(NAMES), AP_IOUS)):
        of_class = expected.evalImgs[label * areas * images :][:images]
        for image, one in enumerate(of_class):
            own = found.images == image
            judged = np.flatnonzero(own)[: len(one["dtScores"]) if one else 0]
            assert found.scores[judged].tolist() == (one["dtScores"] if one else [])
            assert found.ignored[:, own][:, len(judged) :].all()
            assert found.objects[image] == (np.sum(one["gtIgnore"] == 0) if one else 0)
            if one:
                ignored = one["dtIgnore"].astype(bool)
                np.testing.assert_array_equal(found.ignored[:, judged], ignored)
                hit = (one["dtMatches"] > 0) & ~ignored
                np.testing.assert_array_equal(found.hit[:, judged], hit)
