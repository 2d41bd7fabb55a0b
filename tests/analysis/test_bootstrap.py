"""The bootstrap: a sample's AP is the evaluator's AP of the images that were drawn."""

import json

import numpy as np
import pytest

from detkit.analysis import differences
from detkit.analysis.bootstrap import class_statistics, samples, weighted_ap
from detkit.detections.of_dataset import paired
from detkit.evaluate import COCOEvaluator
from support.evaluation import NAMES, Dataset, detected, random_case, square
from support.many_images import Annotated


def of_drawn(dataset, detections, counts):
    """A dataset in which each image is as often as it was drawn, and its detections."""
    annotations, found = [], {}
    for index, count in enumerate(counts):
        one = dataset.annotation(index)
        for _ in range(count):
            found[len(annotations)] = detections[one.image_id]
            annotations.append(one._replace(image_id=len(annotations)))
    return Annotated(annotations, NAMES), found


@pytest.mark.parametrize("seed", range(3))
def test_a_sample_has_the_ap_of_the_images_that_were_drawn(seed):
    dataset, detections = random_case(seed, images=15)
    statistics = class_statistics(paired(dataset, detections), len(NAMES))
    weights = np.vstack([np.ones((1, 15), int), *samples(15, 4, seed)])
    for counts, found in zip(weights, weighted_ap(statistics, weights)):
        expected = COCOEvaluator()(*of_drawn(dataset, detections, counts))
        assert found == pytest.approx([expected["AP"], expected["AP50"]], abs=1e-12)


def test_an_interval_holds_95_percent_of_the_differences():
    dataset, first = random_case(1, images=40)
    second = {image: moved(one) for image, one in first.items()}
    nothing, found = differences(dataset, [first, second], repeats=120)
    assert nothing is None
    values = []
    for weights in samples(40, 120, 0):
        aps = [
            weighted_ap(class_statistics(paired(dataset, one), len(NAMES)), weights)
            for one in (first, second)
        ]
        values.extend(aps[1] - aps[0])
    both = [COCOEvaluator()(dataset, one) for one in (first, second)]
    for column, name in enumerate(("AP", "AP50")):
        interval = found["coco"][name]
        low, high = np.percentile([value[column] for value in values], [2.5, 97.5])
        assert interval["difference"] == pytest.approx(both[1][name] - both[0][name], abs=1e-12)
        assert (interval["low"], interval["high"]) == pytest.approx((low, high), abs=1e-12)
        assert (interval["images"], interval["repeats"]) == (40, 120)
    assert found["coco"]["AP"]["high"] < 0


def moved(detections):
    shift = np.array([2, 0, 2, 0], np.float32)
    rows = zip(detections.boxes + shift, detections.scores, detections.labels)
    return detected(*rows)


def test_a_seed_gives_the_same_intervals_and_equal_detections_no_difference():
    dataset, first = random_case(2, images=10)
    second = {image: moved(one) for image, one in first.items()}
    once, again, other = (
        differences(dataset, [first, second, first], repeats=60, seed=seed) for seed in (0, 0, 1)
    )
    assert once == again
    assert once != other
    same = once[2]["coco"]["AP"]
    assert (same["difference"], same["low"], same["high"]) == (0, 0, 0)


def test_each_image_is_drawn_as_often_as_there_are_images():
    (first, second) = samples(7, 60, 0)
    assert (first.shape, second.shape) == ((50, 7), (10, 7))
    assert (np.vstack([first, second]).sum(1) == 7).all()


def test_samples_without_objects_are_left_out():
    dataset = Dataset({1: [(square(0), 0)], 2: []})
    detections = {1: detected((square(0), 0.9, 0)), 2: detected()}
    interval = differences(dataset, [detections, {}], repeats=40)[1]["coco"]["AP"]
    drawn = sum(int((weights[:, 0] > 0).sum()) for weights in samples(2, 40, 0))
    assert 0 < interval["repeats"] == drawn < 40
    assert (interval["difference"], interval["low"], interval["high"]) == (-1, -1, -1)
    empty = differences(Dataset({1: []}), [{}, {}], repeats=3)
    assert json.loads(json.dumps(empty, allow_nan=False))[1]["coco"]["AP50"]["low"] is None
