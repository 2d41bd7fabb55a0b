"""The layers that are put into the head, against scikit-learn on features taken by hand."""

import mxnet as mx
import numpy as np
import pytest

import detkit
from detkit.errors import DataError, TrainingError
from detkit.fitting import FitOptions, SVMOptions, fit_head
from detkit.fitting.head import MEAN_NORM, NEGATIVE_IOU, PAIR_IOU
from detkit.models import BoxStatistics, Postprocess
from support import oracles, regions
from support.environment import BACKENDS
from support.exports import exported
from support.fitting import CPU, NAMES, Images, features_by_hand, known

svm = pytest.importorskip("sklearn.svm")
linear_model = pytest.importorskip("sklearn.linear_model")
C = 0.1
OPTIONS = FitOptions(svm=SVMOptions(c=C))
WEIGHTS = (10, 10, 5, 5)


class ByHand:
    """Examples of each class, features and scales, collected without detkit's loops."""

    def __init__(self, model, loader):
        self.positives, self.negatives = ([[] for _ in NAMES] for _ in range(2))
        self.pairs = [[] for _ in NAMES]
        norms = []
        for batch in loader.batches(0):
            objects, labels, crowds, proposals = known(batch)
            hidden, cells = features_by_hand(model, batch, proposals)
            own, its_cells = features_by_hand(model, batch, objects)
            few = slice(None, 8 * (len(proposals) // 8), len(proposals) // 8)
            norms.append([*zip(*map(row_norms, (own, its_cells)))])
            norms.append([*zip(row_norms(hidden[few]), row_norms(cells[few]))])
            for label in range(len(NAMES)):
                self.positives[label] += list(own[labels == label])
                near = oracles.iou_matrix(proposals, objects[labels == label])
                ignored = oracles.iou_matrix(proposals, crowds).max(axis=1, initial=0)
                far = np.maximum(near.max(axis=1, initial=0), ignored) < NEGATIVE_IOU
                self.negatives[label] += list(hidden[far])
                for row in np.flatnonzero(near.max(axis=1, initial=0) > PAIR_IOU):
                    box = objects[labels == label][near[row].argmax()]
                    deltas = oracles.encode(box, proposals[row], WEIGHTS)
                    self.pairs[label].append((cells[row], deltas))
        self.scales = MEAN_NORM / np.concatenate(norms).mean(axis=0)

    def svm(self, label):
        """scikit-learn's SVM of a class, of scaled features."""
        x = np.stack(self.positives[label] + self.negatives[label]) * self.scales[0]
        y = [1] * len(self.positives[label]) + [0] * len(self.negatives[label])
        options = {"class_weight": {1: 2}, "intercept_scaling": 10, "random_state": 0}
        return svm.LinearSVC(C=C, loss="hinge", max_iter=10000, **options).fit(x, y)

    def ridge(self, label):
        """scikit-learn's regressor of a class, of scaled features."""
        x, y = map(np.stack, zip(*self.pairs[label]))
        return linear_model.Ridge(alpha=1000.0, solver="svd").fit(x * self.scales[1], y)


def row_norms(rows):
    return np.linalg.norm(rows, axis=1)


@pytest.fixture(scope="module")
def fitted():
    """A fitted model, its loader, what fit_head returned, and the same by hand."""
    model, loader = regions.build(), Images(difficult=[5])
    by_hand = ByHand(model, loader)
    return model, loader, fit_head(model, loader, NAMES, CPU, OPTIONS), by_hand


def test_the_logits_are_the_margins_and_the_deltas_those_of_the_regressors(fitted):
    model, loader, _, by_hand = fitted
    batch = next(loader.batches(0))
    proposals = known(batch)[3]
    hidden, cells = features_by_hand(model, batch, proposals)
    inputs = (batch.images, batch.sizes, proposals[None])
    logits, deltas = regions.by_hand(model, *inputs)
    np.testing.assert_array_equal(logits[:, 0], 0)
    for label in range(len(NAMES)):
        margins = by_hand.svm(label).decision_function(hidden * by_hand.scales[0])
        assert margins.min() < -0.5 and margins.max() > 0
        np.testing.assert_allclose(logits[:, 1 + label], margins, atol=1e-3)
        moved = by_hand.ridge(label).predict(cells * by_hand.scales[1])
        np.testing.assert_allclose(deltas[:, label], moved, rtol=1e-3, atol=1e-3)


def test_the_examples_are_counted(fitted):
    *_, counts, by_hand = fitted
    assert [each.name for each in counts] == list(NAMES)
    for each, positives, pairs in zip(counts, by_hand.positives, by_hand.pairs):
        assert (each.objects, each.pairs) == (len(positives), len(pairs))
    assert counts[2].objects == 4  # the other four are difficult
    assert all(0 < each.negatives <= len(n) for each, n in zip(counts, by_hand.negatives))


@pytest.mark.parametrize("ops", BACKENDS)
def test_the_scores_of_an_export_are_scikit_learns_decisions(fitted, ops, tmp_path):
    model, loader, _, by_hand = fitted
    batch = next(loader.batches(0))
    proposals = known(batch)[3]
    post = Postprocess(
        score_floor=0.0, nms_iou=1.0, max_detections=500, scores="svm", box_weights=WEIGHTS
    )
    own = regions.build(postprocess=post)
    for name, parameter in own._collect_params_with_prefix().items():
        parameter.set_data(model._collect_params_with_prefix()[name].data())
    exported(own, tmp_path, ops, transforms=[])
    image = batch.images[0, :, :64, :80].transpose(1, 2, 0).astype("uint8")
    found = detkit.load_exported(tmp_path).detect(image, proposals)
    hidden, _ = features_by_hand(model, batch, proposals)
    for label in range(len(NAMES)):
        margins = by_hand.svm(label).decision_function(hidden * by_hand.scales[0])
        scores = found.scores[found.labels == label].astype("float64")
        assert len(scores) == len(proposals)
        np.testing.assert_allclose(np.log(scores / (1 - scores)), np.sort(margins)[::-1], atol=2e-3)


def test_pairs_are_limited_and_the_same_again():
    found = []
    for _ in range(2):
        model = regions.build()
        counts = fit_head(model, Images(), NAMES, CPU, FitOptions(pairs=5))
        assert [each.pairs for each in counts] == [5, 5, 5]
        found.append(model.roi_head.boxes.weight.data().asnumpy())
    np.testing.assert_array_equal(*found)


def test_a_second_pass_takes_no_region_twice():
    once, twice = (
        fit_head(regions.build(), Images(), NAMES, CPU, OPTIONS._replace(passes=passes))
        for passes in (1, 2)
    )
    assert once == twice


def test_a_class_without_pairs_keeps_the_boxes_of_its_proposals(monkeypatch):
    monkeypatch.setattr("detkit.fitting.head.PAIR_IOU", 1.0)
    model = regions.build()
    counts = fit_head(model, Images(), NAMES, CPU, OPTIONS)
    assert [each.pairs for each in counts] == [0, 0, 0]
    for parameter in model.roi_head.boxes.collect_params().values():
        assert (parameter.data().asnumpy() == 0).all()


@pytest.mark.parametrize("least", [PAIR_IOU, 1.0], ids=["pairs", "no pairs"])
@pytest.mark.parametrize("rows", [1, 3])
def test_normalised_deltas_are_those_of_the_regressors_after_they_are_restored(
    monkeypatch, rows, least
):
    monkeypatch.setattr("detkit.fitting.head.PAIR_IOU", least)
    rng, loader = np.random.default_rng(0), Images()
    means, stds = rng.normal(size=(rows, 4)), rng.uniform(0.1, 0.9, (rows, 4))
    statistics = BoxStatistics(means.tolist(), stds.tolist())
    plain = regions.build()
    normalised = regions.build(postprocess=Postprocess(box_statistics=statistics))
    for model in (plain, normalised):
        fit_head(model, loader, NAMES, CPU, OPTIONS)
    batch = next(loader.batches(0))
    inputs = (batch.images, batch.sizes, known(batch)[3][None])
    (_, expected), (_, found) = (regions.by_hand(each, *inputs) for each in (plain, normalised))
    assert expected.any() == (least < 1)
    np.testing.assert_allclose(found * stds + means, expected, atol=1e-4)


def test_a_class_without_objects():
    with pytest.raises(DataError, match="every class.*none of b, c"):
        fit_head(regions.build(), Images(labels=[0, 0]), NAMES, CPU, OPTIONS)


def test_a_network_that_sees_nothing():
    model = regions.build()
    for parameter in model.roi_head.fc.collect_params().values():
        parameter.set_data(mx.nd.zeros(parameter.shape))
    with pytest.raises(TrainingError, match="not all 0"):
        fit_head(model, Images(), NAMES, CPU, OPTIONS)
