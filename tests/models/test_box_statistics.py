"""BoxStatistics against numpy: targets of training, boxes of testing, exports, and refusals."""

import mxnet as mx
import numpy as np
import pytest

import detkit
from detkit.losses import GIoULoss, RoILoss
from detkit.models import BoxStatistics, Postprocess
from detkit.targets import MaxIoUAssigner, PseudoSampler, RoITargets
from support.cascades import cascade
from support.environment import BACKENDS
from support.exports import assert_same, exported, photos
from support.onnx_runs import ONNX, assert_detections_agree
from support.oracles import encode

WEIGHTS = (10, 10, 5, 5)
MEANS = np.array([[0.5, -0.2, 0.1, 0.3], [0.0, 0.4, -0.6, 0.2], [-0.1, 0.2, 0.0, -0.3]])
STDS = np.array([[2.0, 0.5, 1.5, 3.0], [1.0, 0.7, 0.2, 0.9], [0.8, 1.1, 1.3, 0.6]])
TABLES = {"of each class": (MEANS, STDS), "of all": (MEANS[0], STDS[0])}
GT_BOXES = np.array([[[10, 10, 40, 30], [20, 5, 60, 55]]], "float32")
GT_LABELS = np.array([[2, 1]], "float32")
PROPOSALS = np.array([[[12, 9, 37, 33], [18, 8, 57, 60], [0, 0, 5, 5]]], "float32")


def statistics(table):
    block = BoxStatistics(*(numbers.tolist() for numbers in TABLES[table]))
    block.initialize()
    return block


def rows(table, classes):
    """The means and the standard deviations of each class."""
    return [np.broadcast_to(numbers, (3, 4))[classes] for numbers in TABLES[table]]


def targets_of(box_statistics):
    """The RoIs, labels and targets of RoITargets that draws all."""
    assigner = MaxIoUAssigner(0.5, 0.5, best_for_object=False)
    block = RoITargets(assigner, PseudoSampler(), WEIGHTS, box_statistics)
    block.hybridize()
    arrays = PROPOSALS, np.ones((1, 3)), GT_BOXES, GT_LABELS
    return [array.asnumpy() for array in block(*map(mx.nd.array, arrays))]


@pytest.mark.parametrize("table", TABLES)
def test_targets_are_normalised_by_class(table):
    rois, labels, found = targets_of(statistics(table))
    assert sorted(labels[0]) == [0, 2, 2, 3, 3]
    for roi, label, target in zip(rois[0], labels[0], found[0]):
        if label > 0:
            mean, std = rows(table, int(label) - 1)
            box = GT_BOXES[0, GT_LABELS[0].tolist().index(label - 1)]
            expected = (np.array(encode(box, roi, WEIGHTS)) - mean) / std
            np.testing.assert_allclose(target, expected, rtol=1e-4, atol=1e-4)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("table", TABLES)
def test_boxes_of_the_targets_are_those_of_the_objects(table, hybridized):
    shared = statistics(table)
    rois, labels, targets = targets_of(shared)
    block = Postprocess(0.5, box_weights=WEIGHTS, box_statistics=shared)
    block.hybridize(hybridized)
    logits = np.eye(4)[labels[0].astype(int)] * 20
    deltas = np.repeat(targets[0][:, None], 3, axis=1)  # of each class the same, as only one counts
    arrays = rois, np.ones(labels.shape), logits, deltas, [[70, 70]]
    boxes, scores, found = (array.asnumpy()[0] for array in block(*map(mx.nd.array, arrays)))
    assert sorted(found[scores >= 0]) == [1, 2]
    expected = GT_BOXES[0, [GT_LABELS[0].tolist().index(label) for label in found[:2]]]
    np.testing.assert_allclose(boxes[:2], expected, atol=1e-2)


@pytest.mark.parametrize("classes", [1, 3])
def test_postprocessing_restores_the_deltas(classes):
    rng = np.random.default_rng(0)
    logits, deltas = rng.normal(0, 2, (6, 4)), rng.normal(0, 1, (6, classes, 4))
    corners = rng.uniform(0, 25, (1, 6, 2))
    rois = np.concatenate([corners, corners + rng.uniform(5, 20, (1, 6, 2))], axis=2)
    restored = deltas * STDS + MEANS
    found = [
        Postprocess(0.05, box_weights=WEIGHTS, box_statistics=block)(
            *map(mx.nd.array, (rois, np.ones((1, 6)), logits, each, [[50, 50]]))
        )
        for block, each in ((statistics("of each class"), deltas), (None, restored))
    ]
    for one, other in zip(*found):
        np.testing.assert_allclose(one.asnumpy(), other.asnumpy(), rtol=1e-4, atol=1e-3)


def test_a_loss_of_boxes_compares_what_is_restored():
    rng = np.random.default_rng(0)
    labels, rois = np.array([[0, 2, -1, 3]]), np.tile([5.0, 5, 30, 25], (1, 4, 1))
    logits, deltas = np.zeros((4, 4)), rng.normal(0, 1, (4, 3, 4))
    targets = rng.normal(0, 1, (1, 4, 4))
    means, stds = rows("of each class", np.maximum(labels - 1, 0))
    found = []
    for block, moves, goals in (
        (statistics("of each class"), deltas, targets),
        (None, deltas * STDS + MEANS, targets * stds + means),
    ):
        loss = RoILoss(GIoULoss(), box_weights=WEIGHTS, box_statistics=block)
        loss.hybridize()
        arrays = map(mx.nd.array, (logits, moves, labels, goals, rois))
        found.append(loss(*arrays)[1].asscalar())
    assert found[0] == pytest.approx(found[1], rel=1e-4) and found[0] > 0


@pytest.mark.parametrize("ops", BACKENDS)
@pytest.mark.parametrize("stages", [None, 2])
def test_an_export_restores_the_deltas(small_model, tmp_path, ops, stages):
    block = BoxStatistics(MEANS.tolist(), STDS.tolist())
    options = {"max_detections": 12, "box_statistics": block}
    if stages:
        block.initialize()  # the cascade's model has been
        post = Postprocess(0.2, box_weights=(20, 20, 10, 10), **options)
        model = cascade(small_model(), stages=stages, postprocess=post)
    else:
        model = small_model(postprocess=Postprocess(0.2, **options))
    detector = exported(model, tmp_path, ops)
    images = photos((64, 80), (50, 96))
    assert_same(detkit.load_exported(tmp_path).detect(images), detector.detect(images))


@ONNX
def test_onnx_restores_the_deltas(small_model, images):
    block = BoxStatistics(MEANS.tolist(), STDS.tolist())
    post = Postprocess(0.2, max_detections=12, box_statistics=block)
    assert_detections_agree(small_model(postprocess=post), images)


@pytest.mark.parametrize(
    ("name", "means", "stds"),
    [
        ("means", [0.0, 0.0, 0.0, float("nan")], [1.0] * 4),
        ("means", [], []),
        ("stds", [0.0] * 4, [1.0, 1.0, 1.0, 0.0]),
        ("stds", [0.0] * 4, [1.0, 1.0, 1.0, float("inf")]),
    ],
)
def test_numbers_are_checked(name, means, stds):
    with pytest.raises(ValueError, match=f"^{name}: expected .* found"):
        BoxStatistics(means, stds)


def test_rows_must_agree():
    with pytest.raises(ValueError, match="^stds: expected 2 rows .* found 1"):
        BoxStatistics([[0.0] * 4] * 2, [1.0] * 4)
