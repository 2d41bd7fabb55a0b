"""Ridge regression against scikit-learn's and against its definition."""

import numpy as np
import pytest

from detkit.fitting import Linear, fit_ridge

linear_model = pytest.importorskip("sklearn.linear_model")
SHAPES = [(40, 6), (6, 40), (9, 9), (1, 5)]  # rows and columns


def examples(rows, columns, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(2, 3, (rows, columns)).astype("float32")
    y = x[:, :1] * [1, -2, 0, 0.5] + rng.normal(1, 0.3, (rows, 4))
    return x, y.astype("float32")


@pytest.mark.parametrize("penalty", [0.1, 1000.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_scikit_learns(shape, penalty):
    x, y = examples(*shape)
    found = fit_ridge(x, y, penalty)
    expected = linear_model.Ridge(alpha=penalty, solver="svd").fit(x.astype("float64"), y)
    np.testing.assert_allclose(found(x), expected.predict(x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.weight, expected.coef_, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.bias, expected.intercept_, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_solves_the_normal_equations(shape):
    """The gradient of squares and penalty vanishes: x^T (y - x w - b) = penalty w."""
    x, y = examples(*shape)
    found = fit_ridge(x, y, 5.0)
    left = y - found(x.astype("float64"))
    np.testing.assert_allclose(x.T.astype("float64") @ left, 5.0 * found.weight.T, atol=1e-6)
    np.testing.assert_allclose(left.sum(axis=0), 0, atol=1e-6)


def test_a_function_of_scaled_features_as_one_of_the_features():
    x, y = examples(8, 5)
    function = Linear(y[:2, :1] * np.ones(5), y[0, :2])
    np.testing.assert_allclose(function.of_unscaled(0.3)(x), function(x * 0.3), rtol=1e-5)
