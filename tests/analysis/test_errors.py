"""Kinds of errors: one of each by hand, and the figures of tidecv 1.0.1 on some hundred images."""

import numpy as np
import pytest

from detkit.analysis.errors import HIT, KINDS, error_types, kinds_of_image
from detkit.detections.of_dataset import paired
from support.evaluation import NAMES, Dataset, detected, square
from support.many_images import many_images

# Many equal scores, crowds, and images with more than 100 detections.
CASES = {
    "few classes": {"images": 300, "classes": 5, "objects": 1500, "most": 20, "noise": 0.2},
    "many classes": {"images": 200, "classes": 40, "objects": 900, "most": 12, "noise": 0.25},
    "many detections": {"images": 60, "classes": 3, "objects": 400, "most": 150},
}
FIGURES = ("ap50", *KINDS, "false_positives", "false_negatives")
OF_TIDECV = {  # FIGURES
    "few classes": [
        *(0.264543875, 0.023027672, 0.264232877, 0.000000000, 0.018678199, 0.008080719),
        *(0.107241444, 0.276050184, 0.220879791),
    ],
    "many classes": [
        *(0.206519986, 0.016442039, 0.291887217, 0.006586084, 0.000232842, 0.006398136),
        *(0.101939522, 0.154866153, 0.275442470),
    ],
    "many detections": [
        *(0.548616431, 0.011613397, 0.016936838, 0.000000000, 0.080342087, 0.022608169),
        *(0.142953491, 0.154353866, 0.221461509),
    ],
}


def of_case(name):
    return many_images(difficult=0.1, digits=2, **CASES[name])


def kind_of(objects, *rows):
    """The kinds of the detections of an image with such objects."""
    ((annotation, detections),) = paired(Dataset({1: objects}), {1: detected(*rows)})
    found = kinds_of_image(annotation, detections, len(NAMES))
    kinds = ["hit" if kind == HIT else KINDS[kind] for kind in found.kinds]
    return [kind if counts else "ignored" for kind, counts in zip(kinds, found.counts)]


def test_each_kind_by_hand():
    objects = [(square(0), 0), (square(30), 1)]
    assert kind_of(objects, (square(1), 0.9, 0), (square(0), 0.8, 0)) == ["hit", "duplicate"]
    assert kind_of(objects, (square(6), 0.9, 0)) == ["localisation"]
    assert kind_of(objects, (square(1), 0.9, 1)) == ["classification"]
    assert kind_of(objects, (square(6), 0.9, 1)) == ["both"]
    assert kind_of(objects, (square(9), 0.9, 1)) == ["background"]
    assert kind_of([], (square(0), 0.9, 0)) == ["background"]
    assert kind_of([(square(0, side=40), 0, True)], (square(9), 0.9, 0)) == ["ignored"]


@pytest.mark.parametrize(
    "row, kind",
    [
        ((square(6), 0.9, 0), "localisation"),
        ((square(1), 0.9, 1), "classification"),
        ((), "missed"),
    ],
)
def test_mending_the_only_error_makes_the_ap_perfect(row, kind):
    dataset = Dataset({1: [(square(0), 0)], 2: [(square(0), 1)]})
    detections = {1: detected(*[row] * bool(row)), 2: detected((square(0), 0.95, 1))}
    found = error_types(paired(dataset, detections), len(NAMES))
    assert found["ap50"] + found[kind] == pytest.approx(1)
    others = {name: found[name] for name in KINDS if name != kind}
    assert others == dict.fromkeys(others, 0)


def test_only_the_best_detection_of_an_object_is_mended():
    dataset = Dataset({1: [(square(0), 0)]})
    rows = [(square(6), 0.9, 0), (square(-6), 0.8, 0)]
    found = error_types(paired(dataset, {1: detected(*rows)}), len(NAMES))
    assert (found["ap50"], found["localisation"], found["missed"]) == (0, 1, 0)


@pytest.mark.parametrize("name", CASES)
def test_the_figures_are_those_that_tidecv_gave(name):
    dataset, detections = of_case(name)
    found = error_types(paired(dataset, detections), len(dataset.class_names))
    assert list(found) == list(FIGURES)
    assert list(found.values()) == pytest.approx(OF_TIDECV[name], abs=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_the_figures_are_those_that_tidecv_gives(name):
    pytest.importorskip("tidecv", reason="tidecv 1.0.1 is not installed")
    dataset, detections = of_case(name)
    assert by_tidecv(dataset, detections) == pytest.approx(OF_TIDECV[name], abs=1e-8)


def by_tidecv(dataset, detections):
    """The FIGURES by tidecv, which counts in percent."""
    from tidecv.data import Data
    from tidecv.quantify import TIDE, TIDERun

    truth, found = Data("truth"), Data("detections")
    for label, name in enumerate(dataset.class_names):
        truth.add_class(label, name)
        found.add_class(label, name)
    for index in range(len(dataset)):
        one = dataset.annotation(index)
        truth.add_image(index, str(index))
        for box, label, crowd in zip(one.boxes, one.labels, one.difficult):
            add = truth.add_ignore_region if crowd else truth.add_ground_truth
            add(index, int(label), sides(box))
        rows = detections[one.image_id]
        for box, score, label in zip(rows.boxes, rows.scores, rows.labels):
            found.add_detection(index, int(label), float(score), sides(box))
    run = TIDERun(truth, found, 0.5, 0.1, TIDE.BOX, 100)
    main, special = run.fix_main_errors(), run.fix_special_errors()
    named = {kind.short_name: value for kind, value in {**main, **special}.items()}
    order = ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss", "FalsePos", "FalseNeg")
    return [value / 100 for value in (run.ap, *(named[name] for name in order))]


def sides(box):
    left, top, right, bottom = np.asarray(box, float)
    return [left, top, right - left, bottom - top]
