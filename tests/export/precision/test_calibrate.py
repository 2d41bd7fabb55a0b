"""Calibration: the ranges that images give, whole and without what is rare."""

import mxnet as mx
import numpy as np
import pytest

from detkit.errors import ExportError
from detkit.export.precision.calibrate import calibrate, threshold


def ranges(*arrays, mode="naive"):
    def run(array):
        return [mx.nd.array(array)]

    return calibrate(run, ["t"], [(np.array(array, "float32"),) for array in arrays], mode)["t"]


def test_naive_ranges():
    assert ranges([1, 3], [-2, 0]) == (-2, 3)
    assert ranges([1, 3], [2, 5]) == (0, 5)
    assert ranges([-3, -1]) == (-3, pytest.approx(0, abs=1e-5))
    assert ranges([0, 0]) == (0, pytest.approx(0, abs=1e-5))
    assert ranges([0, 0])[1] > 0


def test_entropy_leaves_out_the_rare():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, 100_000)
    smallest, largest = ranges(values, [50.0] * 5, mode="entropy")
    assert -smallest == largest
    assert 3 < largest < 6
    assert ranges(np.abs(values), mode="entropy")[0] == 0
    assert ranges(rng.uniform(-1, 1, 100_000), mode="entropy")[1] == pytest.approx(1, abs=0.01)


def test_a_histogram_grows_without_losing_a_count():
    values = np.random.default_rng(0).normal(0, 1, 50_000)
    together = ranges(values, mode="entropy")[1]
    apart = ranges(values * 0.2, values, mode="entropy")[1]
    assert apart == pytest.approx(together, rel=0.3)
    assert threshold(np.ones(2048, "int64"), 127) == 1


def test_what_cannot_be_calibrated_with():
    with pytest.raises(ExportError, match=r"\b2\b.*\bt\b.*NaN"):
        ranges([1.0], [np.nan])
    with pytest.raises(ExportError, match="calibration: .*at least one image"):
        ranges()
