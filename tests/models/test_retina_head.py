"""RetinaHead: what lies where in its outputs, what it begins with, what it refuses."""

import mxnet as mx
import numpy as np
import pytest

from detkit.models import RetinaHead
from support.refusals import assert_refused

ANCHORS, CLASSES = 2, 3


def make(**options):
    head = RetinaHead(4, ANCHORS, CLASSES, **{"channels": 6, **options})
    head.initialize()
    return head


def maps(*sizes):
    rng = np.random.default_rng(0)
    return [mx.nd.array(rng.normal(0, 3, (2, 4, h, w))) for h, w in sizes]


@pytest.mark.parametrize("hybridized", [False, True])
def test_rows_go_cell_by_cell_and_anchor_by_anchor(hybridized):
    head = make(convs=1)
    if hybridized:
        head.hybridize()
    levels = maps((3, 5), (2, 2), (1, 1))
    logits, deltas = head(levels)
    for level, found, moves in zip(levels, logits, deltas):
        h, w = level.shape[2:]
        assert found.shape == (2, h * w * ANCHORS, CLASSES)
        assert moves.shape == (2, h * w * ANCHORS, 4)
        classes = head.classes(head.class_convs(level)).asnumpy()
        boxes = head.deltas(head.box_convs(level)).asnumpy()
        for row, column, anchor in np.ndindex(h, w, ANCHORS):
            n = (row * w + column) * ANCHORS + anchor
            for width, ours, theirs in ((CLASSES, found, classes), (4, moves, boxes)):
                expected = theirs[:, anchor * width : (anchor + 1) * width, row, column]
                np.testing.assert_allclose(ours[:, n].asnumpy(), expected, atol=1e-6)


@pytest.mark.parametrize("prior", [0.01, 0.3])
def test_every_class_begins_with_the_prior_probability(prior):
    (logits, _), (deltas, _) = make(prior=prior)(maps((3, 5), (2, 2)))
    np.testing.assert_allclose(logits.sigmoid().asnumpy(), prior, rtol=0.02)
    assert np.abs(deltas.asnumpy()).max() < 0.02


@pytest.mark.parametrize(
    ("norm", "of_each"),
    [(None, {"0.weight", "0.bias"}), ("GN", {"0.weight", "1.gamma", "1.beta"})],
)
def test_towers(norm, of_each):
    head = make(convs=3, channels=32, norm=norm)
    parameters = head._collect_params_with_prefix()
    for tower in ("class_convs", "box_convs"):
        found = {name for name in parameters if name.startswith(tower)}
        assert found == {f"{tower}.{conv}.{name}" for conv in range(3) for name in of_each}
    weights = parameters["class_convs.1.0.weight"].data().asnumpy()
    assert weights.shape == (32, 32, 3, 3)
    assert weights.std() == pytest.approx(0.01, rel=0.1)


def test_without_convolutions_the_last_ones_see_the_maps():
    logits, deltas = make(convs=0)(maps((3, 5)))
    assert logits[0].shape == (2, 3 * 5 * ANCHORS, CLASSES)
    assert deltas[0].shape == (2, 3 * 5 * ANCHORS, 4)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"convs": -1}, "at least 0"),
        ({"channels": 0}, "at least 1"),
        ({"prior": 1.0}, "(0, 1)"),
        ({"norm": "LN"}, "BN, FrozenBN, FrozenStatsBN, SyncBN, GN"),
    ],
)
def test_arguments_are_checked(wrong, expected):
    assert_refused(make, expected, **wrong)
