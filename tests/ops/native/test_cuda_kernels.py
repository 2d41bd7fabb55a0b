"""The CUDA kernels, run on the CPU by cuda_on_cpu.h, against the oracles."""

import ctypes
import itertools
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import cuda_kernels
from support import kernel_cases as cases
from support import kernel_oracles as oracles
from support import kernel_roi_oracles as roi_oracles
from support.cuda_kernels import Align, CudaKernels, KernelError, NumpyMemory
from support.kernel_roi_oracles import Geometry

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")

few = settings(max_examples=25)
NMS_MODES = st.sampled_from(("hard", "hard", "linear", "gaussian"))
IOUS = st.sampled_from((0.0, 0.3, 0.5, 1.0))


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    path = cuda_kernels.build_for_cpu(tmp_path_factory.mktemp("library"))
    return CudaKernels(path, NumpyMemory())


def result(kernels, name, *arguments, **options):
    """The outputs of a call, which must not depend on the order in which threads run."""
    prepared = [getattr(kernels, name)(*arguments, **options) for _ in range(2)]
    for backwards, (run, _) in enumerate(prepared):
        kernels.library.detkit_emulate_backwards(backwards)
        run()
    (_, outputs), (_, others) = prepared
    for output, other in zip(outputs, others):
        tolerance = 2e-2 if output.dtype == "float16" else 1e-5
        np.testing.assert_allclose(output, other, tolerance, tolerance)  # sums by atomicAdd
    return outputs


def same(found, wanted, tolerance=0.0):
    for output, expected in zip(found, wanted):
        assert output.shape == expected.shape
        np.testing.assert_allclose(output, expected, rtol=tolerance, atol=tolerance)


# --------------------------------------------------------------------------------- boxes


@few
@given(cases.crowds(), IOUS, NMS_MODES, st.booleans(), st.integers(-1, 9), st.integers(-1, 9))
def test_nms(kernels, crowd, iou, mode, labelled, top_k_in, top_k_out):
    boxes, scores, labels = crowd
    arguments = (boxes, scores, labels if labelled else None, iou, top_k_in, top_k_out, mode)
    with np.errstate(all="ignore"):
        wanted = oracles.nms(*arguments, min_score=0.2)
    same(result(kernels, "nms", *arguments, min_score=0.2), wanted, 1e-6 * (mode != "hard"))


def greedy(boxes, scores, labels, threshold):
    """kernel_oracles.nms of one image of good rows, row by row instead of pair by pair."""
    left, kept = list(np.argsort(-scores, kind="stable")), []
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    alive = np.ones(len(boxes), bool)
    for i in left:
        if alive[i]:
            kept.append(i)
            corner = np.maximum(boxes[i, :2], boxes[:, :2])
            shared = np.prod(np.maximum(np.minimum(boxes[i, 2:], boxes[:, 2:]) - corner, 0), axis=1)
            alive &= (shared / (area[i] + area - shared) <= threshold) | (labels != labels[i])
    return kept


@pytest.mark.parametrize("images, top_k_out", [(2, -1), (1, 100)])
def test_nms_of_several_bands_of_boxes(kernels, images, top_k_out):
    rng = np.random.default_rng(3)
    corner = rng.integers(0, 600, (images, 4600, 2))
    boxes = np.concatenate([corner, corner + rng.integers(8, 90, corner.shape)], 2).astype(
        "float32"
    )
    scores = rng.integers(0, 2000, (images, 4600)).astype("float32") / 2000
    labels = rng.integers(0, 2, (images, 4600)).astype("float32")
    out, _, _, index = result(kernels, "nms", boxes, scores, labels, 0.4, top_k_out=top_k_out)
    for b in range(images):
        kept = greedy(boxes[b], scores[b], labels[b], np.float32(0.4))
        assert len(kept) > 500
        kept = kept[: None if top_k_out < 0 else top_k_out]
        assert index[b][: len(kept)].tolist() == kept
        assert (index[b][len(kept) :] == -1).all()
        assert np.array_equal(out[b][: len(kept)], boxes[b][kept])


def test_labels_are_compared_by_value(kernels):
    """Neither the sign of a zero nor the bits of a NaN make another label."""
    labels = np.array([[0x7FC00000, 0, 0xFFC00001, 0x80000000]], "uint32").view("float32")
    boxes = np.tile(np.array([0, 0, 4, 4], "float32"), (1, 4, 1))
    scores = np.array([[0.9, 0.8, 0.7, 0.6]], "float32")
    assert result(kernels, "nms", boxes, scores, labels, 0.5)[3].tolist() == [[0, 1, -1, -1]]


@few
@given(cases.pyramids(), IOUS, st.integers(0, 12), st.integers(0, 20), st.sampled_from((0, 2.5)))
def test_proposals(kernels, pyramid, iou, pre_nms, post_nms, min_size):
    levels, sizes = pyramid
    how = (sizes, pre_nms, post_nms, iou, min_size, (1, 1, 2, 2))
    with np.errstate(all="ignore"):
        wanted = oracles.proposals(levels, *how)
    same(result(kernels, "proposals", levels, *how), wanted, 1e-5)


@pytest.mark.parametrize("column", range(4))
def test_a_delta_that_is_no_number_makes_no_proposal(kernels, column):
    anchors, deltas = np.array([[2, 2, 9, 9]] * 2, "float32"), np.zeros((1, 2, 4), "float32")
    deltas[0, 0, column] = np.nan
    levels = [(anchors, np.array([[2, 1]], "float32"), deltas)]
    sizes = np.array([[20, 20]], "float32")
    boxes, scores = result(kernels, "proposals", levels, sizes, 2, 2, 1.0, 1)
    assert boxes[0].tolist() == [[2, 2, 9, 9], [0, 0, 0, 0]]
    assert scores[0].tolist() == [pytest.approx(1 / (1 + np.exp(-1))), -1]


def test_proposals_of_long_levels(kernels):
    rng = np.random.default_rng(4)
    levels = []
    for count in (7000, 2500, 60):
        corner = rng.uniform(0, 400, (count, 2))
        anchors = np.concatenate([corner, corner + 24], axis=1).astype("float32")
        logits = rng.integers(-50, 50, (2, count)).astype("float32") / 8
        levels.append((anchors, logits, rng.normal(0, 0.3, (2, count, 4)).astype("float32")))
    how = (np.array([[300, 400], [380, 350]], "float32"), 70, 100, 0.6, 4)
    same(result(kernels, "proposals", levels, *how), oracles.proposals(levels, *how), 1e-4)


@few
@given(cases.matchings())
def test_match(kernels, matching):
    with np.errstate(all="ignore"):
        wanted = oracles.match(*matching)
    same(result(kernels, "match", *matching), wanted)


def test_match_of_more_objects_than_a_tile(kernels):
    rng = np.random.default_rng(5)
    boxes, objects = cases.grid_boxes(rng, 1, 700), cases.grid_boxes(rng, 2, 150)
    labels = rng.choice([0.0, 3.0, -1.0, -2.0], (2, 150)).astype("float32")
    with np.errstate(all="ignore"):
        wanted = oracles.match(boxes[:, :90], None, objects, labels)
    found = result(kernels, "match", boxes[:, :90], None, objects, labels)
    same(found, wanted)
    far = result(kernels, "match", boxes, None, objects, labels)  # several blocks of boxes
    same([array[:, :90] for array in far[:2]], wanted[:2])


# ---------------------------------------------------------------------------------- RoIs


def align(sampling, aligned, mode):
    how = ctypes.byref(Align(sampling, aligned, cuda_kernels.MODES[mode]))
    return roi_oracles.align_cells(sampling, aligned), mode, how


# The oracle's rule and mode, and what the function takes after its geometry.
KINDS = {
    "roi_align": [
        align(*how) for how in itertools.product(range(4), (True, False), cuda_kernels.MODES)
    ],
    "roi_pool": [(roi_oracles.pool_cells, *mode) for mode in cuda_kernels.MODES.items()],
    "prroi_pool": [(roi_oracles.precise_cells, "average")],
    "crop_pool": [(roi_oracles.crop_cells, "max")],
}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("name", KINDS)
@few
@given(st.data())
def test_pooling(kernels, name, dtype, data):
    # RoIAlign may take as many samples as cover the RoI: too many for the oracle if it is huge.
    huge = () if name == "roi_align" else cases.HUGE
    case = data.draw(cases.poolings(awkward=(*huge, *cases.NO_NUMBERS)))
    cells, mode, *how = data.draw(st.sampled_from(KINDS[name]))
    tolerance = 1e-4 if dtype == "float32" else 1e-2
    maps = [case.features.astype(dtype)]
    given_out = case.grad_out.astype(dtype)
    rois = with_strays(case.rows)
    wanted = roi_oracles.pool(cells, mode, case.geometry, maps, rois)
    same(result(kernels, "pool", name, maps, rois, case.geometry, *how), [wanted], tolerance)
    grads = roi_oracles.pool_backward(cells, mode, case.geometry, maps, rois, given_out)
    found = result(kernels, "pool_backward", name, maps, rois, case.geometry, given_out, *how)
    same(found[:1], grads, 5 * tolerance)
    if name == "prroi_pool":
        wanted = roi_oracles.precise_backward_rois(case.geometry, maps, rois, given_out)
        same(found[1:], [wanted], 2e-3)


def with_strays(rows):
    """Three of the six RoIs are of no image."""
    rows = rows.copy()
    rows[[1, 2, -1], 0] = (2, 0.5, np.nan)
    return rows


@pytest.mark.parametrize("name", KINDS)
def test_pooling_from_several_levels(kernels, name):
    rng = np.random.default_rng(6)
    sides = (40, 20, 10)
    maps = [rng.normal(0, 1, (2, 11, side, side + 3)).astype("float32") for side in sides]
    corner = rng.uniform(-20, 90, (9, 2))
    rois = np.concatenate([corner, corner + np.linspace(5, 130, 18).reshape(9, 2)], axis=1)
    rows = np.concatenate([rng.integers(0, 2, (9, 1)), rois], axis=1).astype("float32")
    geometry = Geometry(5, [1 / 4, 1 / 8, 1 / 16], 2, 3, 40.0, 1.0)
    cells, mode, *how = KINDS[name][0]
    wanted = roi_oracles.pool(cells, mode, geometry, maps, rows)
    same(result(kernels, "pool", name, maps, rows, geometry, *how), [wanted], 1e-4)
    grad_out = rng.normal(0, 1, wanted.shape).astype("float32")
    grads = roi_oracles.pool_backward(cells, mode, geometry, maps, rows, grad_out)
    assert all(np.abs(grad).max() > 0 for grad in grads)
    found = result(kernels, "pool_backward", name, maps, rows, geometry, grad_out, *how)
    if name == "prroi_pool":
        grads.append(roi_oracles.precise_backward_rois(geometry, maps, rows, grad_out))
    same(found, grads, 1e-3)


@pytest.mark.parametrize("name, first", [("roi_align", 1), ("roi_pool", 2), ("crop_pool", 1)])
def test_nan_is_never_the_maximum_beside_a_number(kernels, name, first):
    maps = np.full((1, 1, 4, 4), np.nan, "float32")
    maps[..., first:, first:] = -5
    rois = np.array([[0, 0, 0, 3, 3]], "float32")
    *_, (_, _, *how) = (kind for kind in KINDS[name] if kind[1] == "max")
    (out,) = result(kernels, "pool", name, [maps], rois, Geometry(1, [1.0]), *how)
    assert out.item() == -5


@pytest.mark.parametrize("name", KINDS)
def test_nothing_beyond_the_border_is_read(kernels, name):
    """Beyond a row is the next one, beyond the last row the next channel."""
    maps, rois = np.ones((1, 2, 4, 4), "float32"), np.array([[0, 2.5, 2.5, 4.5, 4.5]], "float32")
    maps[..., 0, :] = maps[..., :, 0] = np.nan
    for _, _, *how in KINDS[name]:
        found = result(kernels, "pool", name, [maps], rois, Geometry(2, [1.0]), *how)
        assert np.isfinite(found).all()


# --------------------------------------------------------------------------------- masks


@few
@given(cases.masks_under_rois(), st.integers(1, 4))
def test_mask_target(kernels, case, size):
    same(result(kernels, "mask_target", *case, size), [roi_oracles.mask_target(*case, size)], 1e-4)


@few
@given(cases.generators(), st.integers(1, 6))
def test_mask_paste(kernels, rng, size):
    probabilities = rng.random((3, size, size)).astype("float32")
    corner = rng.uniform(-9, 20, (3, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(-2, 20, (3, 2))], axis=1)
    boxes = cases.spoil(rng, boxes, (*cases.HUGE, *cases.NO_NUMBERS), 0.05)
    wanted = roi_oracles.mask_paste(probabilities, boxes, 12, 17)
    same(result(kernels, "mask_paste", probabilities, boxes, 12, 17), [wanted], 1e-4)


# ---------------------------------------------------------------------------- the borders


def test_nothing_in_nothing_out(kernels):
    none = np.zeros((2, 0, 4), "float32"), np.zeros((2, 0), "float32")
    assert result(kernels, "nms", *none, None, 0.5)[3].shape == (2, 0)
    assert result(kernels, "proposals", [], np.ones((1, 2), "float32"), 5, 5, 0.5, 1)[1].size == 0
    assert result(kernels, "match", none[0], None, *none)[4].shape == (2, 0)
    boxes, labels = np.ones((1, 3, 4), "float32"), np.zeros((2, 3), "float32")
    assert not np.any(result(kernels, "match", boxes, None, *none)[:2])
    assert (result(kernels, "match", none[0], None, np.ones((2, 3, 4)), labels)[4] == -1).all()
    maps, rois = [np.ones((1, 2, 3, 3), "float32")], np.zeros((0, 5), "float32")
    grad_out = np.zeros((0, 2, 1, 1), "float32")
    grad, _ = result(kernels, "pool_backward", "prroi_pool", maps, rois, Geometry(1, [1]), grad_out)
    assert not grad.any()


def test_what_makes_no_sense_is_refused(kernels):
    boxes, scores = np.zeros((1, 2, 4), "float32"), np.zeros((1, 2), "float32")
    maps, rois = [np.ones((1, 2, 3, 3), "float32")], np.zeros((1, 5), "float32")
    bad = [
        ("nms", boxes, scores, None, -0.5),
        ("nms", boxes, scores, None, 0.5, -2),
        ("nms", boxes, scores, None, 0.5, -1, -1, "gaussian", 0.0),
        ("pool", "roi_pool", maps, rois, Geometry(1, [1.0]), 2),
        ("pool", "crop_pool", maps, rois, Geometry(1, [0.0])),
        ("pool", "roi_align", maps, rois, Geometry(1, [1.0]), ctypes.byref(Align(-1, 0, 0))),
        ("proposals", [(boxes[0], scores, boxes)] * 9, np.ones((1, 2), "float32"), 5, 5, 0.5, 1),
    ]
    for name, *arguments in bad:
        run, _ = getattr(kernels, name)(*arguments)
        with pytest.raises(KernelError, match="bad argument"):
            run()
