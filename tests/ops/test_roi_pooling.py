"""RoI pooling, native and of the fallback, against kernels.h in numpy."""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mxnet import autograd

from detkit import ops
from detkit.ops import backend
from support import kernel_cases as cases
from support import kernel_roi_oracles as oracles
from support.environment import BACKENDS

pytestmark = [pytest.mark.processor, pytest.mark.parametrize("operators", BACKENDS)]


def assert_pooled(operators, case, operator, cells, mode):
    """The values, and the gradient of the features."""
    features, rois = mx.nd.array(case.features), mx.nd.array(case.rois)
    features.attach_grad()
    with autograd.record(), backend.using(operators):
        out = operator(mx.nd, features, rois, case.geometry.size, case.stride)
    out.backward(mx.nd.array(case.grad_out))
    expected = oracles.pool(cells, mode, case.geometry, [case.features], case.rows)
    np.testing.assert_allclose(out.asnumpy(), expected, rtol=1e-4, atol=1e-3)
    (expected,) = oracles.pool_backward(
        cells, mode, case.geometry, [case.features], case.rows, case.grad_out
    )
    np.testing.assert_allclose(features.grad.asnumpy(), expected, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("mode", ["average", "max"])
@given(cases.poolings(sizes=(1, 2, 4)), st.sampled_from([1, 2]), st.booleans())
@settings(max_examples=30)
def test_roi_align(operators, mode, case, sampling, aligned):
    def operator(*arguments):
        return ops.roi_align(*arguments, sampling, aligned, mode)

    assert_pooled(operators, case, operator, oracles.align_cells(sampling, aligned), mode)


@given(cases.poolings(awkward=cases.NO_NUMBERS, off_grid=0.0137), st.booleans())
@settings(max_examples=30)
def test_roi_align_with_as_many_samples_as_cells(operators, case, aligned):
    def operator(*arguments):
        return ops.roi_align(*arguments, 0, aligned)

    assert_pooled(operators, case, operator, oracles.align_cells(0, aligned), "average")


def test_roi_align_refuses_the_maximum_of_adaptively_many_samples(operators):
    with pytest.raises(ValueError, match="sampling: .*1.*'max'.*0"):
        ops.roi_align(mx.nd, None, None, 7, 16, 0, True, "max")


@pytest.mark.parametrize("mode", ["average", "max"])
@given(cases.poolings(ties=True))
@settings(max_examples=30)
def test_roi_pool(operators, mode, case):
    def operator(*arguments):
        return ops.roi_pool(*arguments, mode)

    assert_pooled(operators, case, operator, oracles.pool_cells, mode)


def test_roi_pool_takes_no_nan_for_the_maximum(operators):
    features = np.array([[[[np.nan, 1, 5], [np.nan, -3, np.nan]]]], "float32")
    rois = mx.nd.array([[[0, 0, 2, 1]]])
    with backend.using(operators):
        found = ops.roi_pool(mx.nd, mx.nd.array(features), rois, 1, 1)
    assert found.asnumpy().ravel().tolist() == [5]
    row = np.array([[0, 0, 0, 2, 1]], "float32")
    geometry = oracles.Geometry(1, [1.0])
    assert oracles.pool(oracles.pool_cells, "max", geometry, [features], row).ravel() == [5]


@given(cases.poolings())
@settings(max_examples=30)
def test_crop_pool(operators, case):
    assert_pooled(operators, case, ops.crop_pool, oracles.crop_cells, "max")


@given(cases.poolings())
@settings(max_examples=30)
def test_prroi_pool(operators, case):
    assert_pooled(operators, case, ops.prroi_pool, oracles.precise_cells, "average")


@given(cases.poolings())
@settings(max_examples=30)
def test_gradient_of_prroi_pool_to_the_rois(operators, case):
    rois = mx.nd.array(case.rois)
    rois.attach_grad()
    with autograd.record(), backend.using(operators):
        out = ops.prroi_pool(
            mx.nd, mx.nd.array(case.features), rois, case.geometry.size, case.stride
        )
    out.backward(mx.nd.array(case.grad_out))
    expected = oracles.precise_backward_rois(
        case.geometry, [case.features], case.rows, case.grad_out
    )[:, 1:]
    np.testing.assert_allclose(
        rois.grad.asnumpy().reshape(-1, 4), expected, rtol=2e-3, atol=5e-3 / case.stride
    )


@given(cases.generators(), st.sampled_from([0.0, 1.0]))
@settings(max_examples=20)
def test_pooling_from_several_levels(operators, rng, margin):
    features = [rng.normal(0, 1, (2, 2, side, side)).astype("float32") for side in (8, 4, 2)]
    corner, side = rng.uniform(-5, 40, (2, 4, 2)), 2 ** rng.uniform(1, 6, (2, 4, 2))
    rois = np.concatenate([corner, corner + side], axis=2)
    rois = cases.spoil(rng, rois, cases.NO_NUMBERS, 0.05)

    maps = [mx.nd.array(level) for level in features]
    for level in maps:
        level.attach_grad()
    levels = ops.Levels(first=2, canonical=3, canonical_size=16.0, margin=margin)
    with autograd.record(), backend.using(operators):
        out = ops.crop_pool(mx.nd, maps, mx.nd.array(rois), 2, (4, 8, 16), levels)
    out.backward()
    geometry = oracles.Geometry(2, (1 / 4, 1 / 8, 1 / 16), 2, 3, 16.0, margin)
    arguments = oracles.crop_cells, "max", geometry, features, cases.numbered(rois)
    np.testing.assert_allclose(out.asnumpy(), oracles.pool(*arguments), rtol=1e-3, atol=1e-4)
    for level, expected in zip(maps, oracles.pool_backward(*arguments, np.ones(out.shape))):
        np.testing.assert_allclose(level.grad.asnumpy(), expected, rtol=1e-3, atol=1e-3)


POOLING = {
    "align": lambda *pooled: ops.roi_align(mx.nd, *pooled, 2, 8, 2, True),
    "pool": lambda *pooled: ops.roi_pool(mx.nd, *pooled, 2, 8),
    "precise": lambda *pooled: ops.prroi_pool(mx.nd, *pooled, 2, 8),
    "crop": lambda *pooled: ops.crop_pool(mx.nd, *pooled, 2, 8),
}


@pytest.mark.parametrize("name", POOLING)
def test_a_gradient_is_added_where_it_should_be(operators, name):
    rng = np.random.default_rng(0)
    features = mx.nd.array(rng.normal(0, 1, (1, 2, 5, 6)))
    rois = mx.nd.array([[[3, 4, 30, 25], [0, 0, 40, 40]]])
    grads = []
    for request, turns in (("write", 1), ("add", 2)):
        features.attach_grad(request)
        for _ in range(turns):
            with autograd.record(), backend.using(operators):
                pooled = POOLING[name](features, rois)
            pooled.backward()
        grads.append(features.grad.asnumpy())
    np.testing.assert_allclose(grads[1], 2 * grads[0], rtol=1e-6)
