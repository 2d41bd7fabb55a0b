"""Hits by VOC's and COCO's rules: the AP that follows from them is that of the evaluators."""

import numpy as np
import pytest

from detkit.detections.of_dataset import paired
from detkit.evaluate import COCOEvaluator, VOCEvaluator
from detkit.evaluate.coco_matches import coco_hits
from detkit.evaluate.hits import ClassHits, overlaps_of, pooled, voc_hits
from support.evaluation import NAMES, Dataset, detected, random_case, square


def hits_by_coco(dataset, detections):
    return coco_hits(paired(dataset, detections), len(NAMES))


@pytest.mark.parametrize("seed", range(8))
def test_the_area_below_the_precision_is_the_ap_of_voc(seed):
    dataset, detections = random_case(seed)
    expected = VOCEvaluator()(dataset, detections)["per_class"]
    pairs = paired(dataset, detections)
    for label, name in enumerate(NAMES):
        found = voc_hits(overlaps_of(pairs, label), 0.5)
        best = [found.precision[found.recall >= r].max(initial=0) for r in found.recall]
        area = sum(np.diff(found.recall, prepend=0) * best)
        if found.objects:
            assert area == pytest.approx(expected[name], abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_the_precision_at_101_recalls_is_the_ap_of_coco(seed):
    dataset, detections = random_case(seed)
    expected = COCOEvaluator()(dataset, detections)["per_class"]
    for found, name in zip(hits_by_coco(dataset, detections), NAMES):
        recalls = np.linspace(0, 1, 101)
        best = [found.precision[found.recall >= r].max(initial=0) for r in recalls]
        if found.objects:
            assert np.mean(best) == pytest.approx(expected[name], abs=1e-12)


def test_the_rules_differ_where_an_object_is_taken():
    """The second detection overlaps the taken object most: COCO gives it the other one."""
    dataset = Dataset({1: [(square(0), 0), (square(4), 0)]})
    detections = {1: detected((square(0), 0.9, 0), (square(1.5), 0.8, 0))}
    by_voc = voc_hits(overlaps_of(paired(dataset, detections), 0), 0.5)
    assert by_voc.hit.tolist() == [True, False]
    assert hits_by_coco(dataset, detections)[0].hit.tolist() == [True, True]


def test_what_does_not_count_is_left_out_and_a_class_without_objects_has_no_recall():
    dataset = Dataset({1: [(square(0), 0, True), (square(50), 0)]})
    detections = {1: detected((square(0), 0.9, 0), (square(50), 0.8, 0), (square(0), 0.7, 1))}
    for hits in (
        [voc_hits(overlaps_of(paired(dataset, detections), label), 0.5) for label in (0, 1)],
        hits_by_coco(dataset, detections),
    ):
        cat, dog = hits[0], hits[1]
        assert cat.objects == 1
        assert cat.scores == pytest.approx([0.8])
        assert cat.precision.tolist() == cat.recall.tolist() == [1]
        assert dog.objects == 0
        assert dog.hit.tolist() == [False]
        assert np.isnan(dog.recall).all()


def test_the_pooled_hits_are_those_of_all_classes_by_score():
    first = ClassHits(np.array([0.9, 0.5, 0.2]), np.array([True, False, True]), 4)
    second = ClassHits(np.array([0.8, 0.3]), np.array([False, True]), 2)
    both = pooled([first, second])
    expected = sorted([*zip(first.scores, first.hit), *zip(second.scores, second.hit)])[::-1]
    assert list(zip(both.scores, both.hit)) == expected
    assert both.objects == first.objects + second.objects
    assert pooled([]).objects == len(pooled([]).scores) == 0
