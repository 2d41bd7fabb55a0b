"""VOCEvaluator against the devkit's way, GluonCV and numbers counted by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detkit.evaluate import VOCEvaluator
from support import oracles
from support.evaluation import NAMES, Dataset, detected, random_case, square


def slow_ap(dataset, detections, label, threshold, style):
    """The devkit's VOCevaldet.m, one detection at a time."""
    objects, total = {}, 0
    for index in range(len(dataset)):
        a = dataset.annotation(index)
        mine = [i for i in range(len(a.labels)) if a.labels[i] == label]
        objects[a.image_id] = [(a.boxes[i].tolist(), bool(a.difficult[i])) for i in mine]
        total += sum(not hard for _, hard in objects[a.image_id])
    if not total:
        return math.nan
    rows = [
        (score, image, box)
        for image, d in detections.items()
        for box, score, k in zip(d.boxes.tolist(), d.scores.tolist(), d.labels)
        if k == label
    ]
    taken, hits, false, curve = set(), 0, 0, []
    for _, image, box in sorted(rows, key=lambda row: -row[0]):
        ious = [oracles.iou(box, other) for other, _ in objects[image]]
        best = int(np.argmax(ious)) if ious else None
        if best is not None and ious[best] >= threshold:
            if objects[image][best][1]:
                continue
            if (image, best) in taken:
                false += 1
            else:
                hits += 1
                taken.add((image, best))
        else:
            false += 1
        curve.append((hits / total, hits / (hits + false)))
    if style == "11point":
        points = np.arange(0.0, 1.1, 0.1)
        return sum(max([p for r, p in curve if r >= t], default=0) for t in points) / 11
    area, last = 0.0, 0.0
    for index, (recall, _) in enumerate(curve):
        area += (recall - last) * max(p for _, p in curve[index:])
        last = recall
    return area


@pytest.mark.parametrize("style", ["area", "11point"])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), difficult=st.sampled_from([0, 0.3, 1]))
def test_voc_agrees_with_the_slow_oracle(style, seed, difficult):
    dataset, detections = random_case(seed, difficult=difficult)
    metrics = VOCEvaluator(style)(dataset, detections)
    at_50 = [slow_ap(dataset, detections, k, 0.5, style) for k in range(3)]
    np.testing.assert_allclose(list(metrics["per_class"].values()), at_50, atol=1e-12)
    with np.testing.suppress_warnings() as quiet:
        quiet.filter(RuntimeWarning)
        ious = np.linspace(0.5, 0.95, 10).round(2)
        every = [[slow_ap(dataset, detections, k, t, style) for k in range(3)] for t in ious]
        np.testing.assert_allclose(metrics["AP"], np.nanmean(every), atol=1e-12)
        np.testing.assert_allclose(metrics["AP50"], np.nanmean(at_50), atol=1e-12)


@pytest.mark.parametrize("style", ["area", "11point"])
def test_voc_agrees_with_gluoncv(style):
    metrics = pytest.importorskip("gluoncv.utils.metrics.voc_detection")
    kind = metrics.VOCMApMetric if style == "area" else metrics.VOC07MApMetric
    for seed in range(10):
        dataset, detections = random_case(seed, images=20)
        theirs = kind(iou_thresh=0.5, class_names=NAMES)
        for index in range(len(dataset)):
            a, d = dataset.annotation(index), detections[index]
            # GluonCV adds 1 to the far corners of both.
            shift = np.array([0, 0, 1, 1], np.float32)
            theirs.update(
                (d.boxes - shift)[None],
                d.labels[None],
                d.scores[None],
                (a.boxes - shift)[None],
                a.labels[None],
                a.difficult[None],
            )
        ours = VOCEvaluator(style)(dataset, detections)
        expected = dict(zip(*theirs.get()))
        assert ours["AP50"] == pytest.approx(expected["mAP"], abs=1e-9)
        for name in NAMES:
            assert ours["per_class"][name] == pytest.approx(expected[name], abs=1e-9)


def test_voc_counted_by_hand():
    """Two of three cats found, one twice, with one false alarm between."""
    dataset = Dataset({"a": [(square(0), 0), (square(50), 0)], "b": [(square(0), 0)]})
    detections = {
        "a": detected((square(0), 0.9, 0), (square(0.5), 0.7, 0), (square(50), 0.6, 0)),
        "b": detected((square(80), 0.8, 0)),
    }
    # hit, false, false (twice), hit: precision 1, 1/2, 1/3, 1/2 at recall 1/3, 1/3, 1/3, 2/3
    area = VOCEvaluator(ious=[0.5])(dataset, detections)
    assert area["AP"] == area["AP50"] == pytest.approx(1 / 3 * 1 + 1 / 3 * 0.5)
    assert list(area["per_class"]) == list(NAMES)
    points = VOCEvaluator("11point", [0.5])(dataset, detections)  # 0 to 0.3, then 0.4 to 0.6
    assert points["AP50"] == pytest.approx((4 * 1 + 3 * 0.5) / 11)


def test_the_threshold_itself_is_a_hit():
    dataset = Dataset({"a": [((0, 0, 10, 10), 0)]})
    half = {"a": detected(((0, 0, 10, 5), 0.9, 0))}  # IoU exactly 1/2
    less = {"a": detected(((0, 0, 10, 4.99), 0.9, 0))}
    assert VOCEvaluator()(dataset, half)["AP50"] == 1
    assert VOCEvaluator()(dataset, less)["AP50"] == 0


def test_equal_scores_are_taken_in_the_datasets_order():
    dataset = Dataset({2: [(square(0), 0)], 1: []})
    detections = {1: detected((square(0), 0.5, 0)), 2: detected((square(0), 0.5, 0))}
    assert VOCEvaluator()(dataset, detections)["AP50"] == 1


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        ({"style": "2007"}, ["style: ", "'area' or", "'11point'", "found '2007'"]),
        ({"ious": []}, ["ious: ", "(0, 1], found []"]),
        ({"ious": [50]}, ["ious: ", "(0, 1], found [50]"]),
    ],
)
def test_voc_refuses_wrong_arguments(arguments, fragments):
    with pytest.raises(ValueError) as caught:
        VOCEvaluator(**arguments)
    for fragment in fragments:
        assert fragment in str(caught.value)
