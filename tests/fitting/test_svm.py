"""SVMs against scikit-learn's, and the negatives that they are trained on."""

import sys

import numpy as np
import pytest

from detkit.errors import DataError, TrainingError
from detkit.fitting import MinedSVM, SVMOptions, fit_svm, require_solver
from detkit.fitting import svm as module

svm = pytest.importorskip("sklearn.svm")
STRONG = SVMOptions(c=1.0)  # so that few examples already give a clear border


def cloud(count, centre, seed):
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 1.0, (count, 5)) + centre).astype("float32")


def objective(function, positives, negatives, options):
    """The function that liblinear minimises; the bias is the weight of a constant feature."""
    margins = np.concatenate([function(positives), -function(negatives)])[:, 0]
    factors = np.repeat([options.positive_weight, 1], [len(positives), len(negatives)])
    weights = np.append(function.weight[0], function.bias[0] / options.bias_scale)
    return weights @ weights / 2 + options.c * (factors * np.maximum(0, 1 - margins)).sum()


def test_it_is_scikit_learns_with_the_options_of_rcnns_code():
    positives, negatives = cloud(20, 1, 0), cloud(90, -1, 1)
    found = fit_svm(positives, negatives)
    reference = svm.LinearSVC(
        C=0.001, loss="hinge", class_weight={1: 2}, intercept_scaling=10, random_state=0
    )
    x = np.concatenate([positives, negatives])
    reference.fit(x, [1] * 20 + [0] * 90)
    np.testing.assert_allclose(found(x)[:, 0], reference.decision_function(x), rtol=1e-6)


def test_no_other_function_near_it_is_better():
    positives, negatives = cloud(20, 1, 0), cloud(90, -1, 1)
    found = fit_svm(positives, negatives, STRONG)
    least = objective(found, positives, negatives, STRONG)
    rng = np.random.default_rng(2)
    for _ in range(200):
        other = found._replace(
            weight=found.weight + rng.normal(0, 0.02, found.weight.shape),
            bias=found.bias + rng.normal(0, 0.02, 1),
        )
        assert objective(other, positives, negatives, STRONG) > least - 1e-3


def test_the_negatives_that_join_are_those_that_violate_the_margin():
    mined = MinedSVM("cell", cloud(30, 1, 0), STRONG)
    first = cloud(40, -1, 1)
    mined.show(0, np.arange(40), first)
    assert mined.negatives == [(0, row) for row in range(40)]  # nothing is known yet
    fitted = mined.fit()
    kept = [(0, row) for row in range(40) if fitted(first)[row, 0] >= module.EASY]
    assert mined.negatives == kept and 0 < len(kept) < 40
    other = cloud(60, -1, 2)
    mined.show(1, np.arange(100, 160), other)
    margins = fitted(other)[:, 0]
    hard = [(1, 100 + row) for row in range(60) if margins[row] > module.HARD]
    assert mined.negatives == kept + hard and 0 < len(hard) < 60


def test_a_region_joins_once():
    mined = MinedSVM("cell", cloud(30, 1, 0), STRONG)
    rows = cloud(8, -0.5, 1)
    for _ in range(2):
        mined.show(3, np.arange(8), rows)
    assert len(mined.negatives) == 8


def test_passes_end_with_the_svm_of_all_negatives():
    """A negative within its margin has no part in an SVM, so that the mined ones are enough."""
    positives, negatives = cloud(30, 1, 0), cloud(400, -1, 1)
    mined = MinedSVM("cell", positives, STRONG)
    for _ in range(6):
        for image in range(8):
            rows = np.arange(50 * image, 50 * image + 50)
            mined.show(image, rows, negatives[rows])
            found = mined.fit()
    assert len(mined.negatives) < 200
    expected = fit_svm(positives, negatives, STRONG)
    np.testing.assert_allclose(found.weight, expected.weight, atol=0.02)
    np.testing.assert_allclose(found.bias, expected.bias, atol=0.02)


def test_it_is_fitted_again_after_many_negatives(monkeypatch):
    fits = []
    genuine = module.fit_svm
    monkeypatch.setattr(module, "REFIT_AFTER", 10)
    monkeypatch.setattr(module, "fit_svm", lambda *args: fits.append(args) or genuine(*args))
    mined = MinedSVM("cell", cloud(30, 1, 0), STRONG)
    for image in range(5):
        mined.show(image, np.arange(6), cloud(6, 0, image))
    assert [len(negatives) for _, negatives, _ in fits][0] == 12
    assert 1 <= len(fits) <= 2


def test_a_class_without_negatives():
    with pytest.raises(DataError, match="'cell'.*no negative"):
        MinedSVM("cell", cloud(3, 1, 0)).fit()


def test_a_machine_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    with pytest.raises(TrainingError, match=r"scikit-learn.*pip install 'detkit-gluon\[rcnn\]'"):
        require_solver()


def test_a_fit_that_does_not_converge_says_so(monkeypatch, caplog):
    monkeypatch.setattr(module, "MOST_ITERATIONS", 2)
    fit_svm(cloud(30, 0, 0), cloud(30, 0, 1), STRONG)
    assert "30 positives and 30 negatives" in caplog.text and "2 iterations" in caplog.text
