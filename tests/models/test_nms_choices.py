"""postprocess.nms and postprocess.voting: which of the boxes of one object stay, and where.

Soft-NMS (Bodla et al. 2017) and box voting (Gidaris and Komodakis 2015, section 5) against loops.
"""

import mxnet as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import detkit
from detkit.build import build_model
from detkit.config import load_config
from detkit.errors import ConfigError, ExportError
from detkit.export.onnx import convert
from detkit.models import DensePostprocess, FastRCNN, Postprocess
from detkit.models.suppression import GaussianNMS, HardNMS, LinearNMS
from detkit.models.voting import BoxVoting
from detkit.ops import backend
from detkit.plugins import import_plugins
from detkit.tta import before_nms
from support import oracles, tiny
from support.environment import BACKENDS
from support.exports import KINDS, assert_same, boxes_in, detector_of, exported, photos
from support.kernel_oracles import nms as nms_oracle
from support.onnx_runs import ONNX, assert_detections_agree

WEIGHTS = (10, 10, 5, 5)
KINDS_OF_NMS = {
    "hard": lambda: HardNMS(),
    "linear": lambda: LinearNMS(min_score=0.05),
    "gaussian": lambda: GaussianNMS(sigma=0.5, min_score=0.05),
}


def crowd(seed, rois=12, classes=2):
    """RoIs (2, R, 4) in two heaps, logits (2, R, 1 + K), deltas (2, R, K, 4), sizes (2, 2)."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 2, (2, rois, 1)) * 25 + rng.uniform(0, 8, (2, rois, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(10, 20, (2, rois, 2))], axis=2)
    logits, deltas = ((2, rois, 1 + classes), 2), ((2, rois, classes, 4), 1)
    arrays = boxes, *(rng.normal(0, scale, shape) for shape, scale in (logits, deltas))
    return (*(array.astype("float32") for array in arrays), np.float32([[60, 60], [50, 70]]))


def detected(block, rois, logits, deltas, sizes):
    flat = logits.reshape(-1, logits.shape[2]), deltas.reshape(-1, *deltas.shape[2:])
    inputs = rois, np.ones(rois.shape[:2]), *flat, sizes
    return [array.asnumpy() for array in block(*map(mx.nd.array, inputs))]


def candidates_of(rois, logits, deltas, size, floor):
    """All boxes, scores and labels of one image, whether they overlap or not."""
    return oracles.detections(rois, logits, deltas, size, floor, 1.0, -1, WEIGHTS)


def voted(box, label, candidates, iou):
    """The mean box of the candidates of a class that overlap ``box``, weighted by their scores."""
    near = [
        (score, other)
        for other, score, kind in zip(*candidates)
        if kind == label and oracles.iou(box, other) > iou
    ]
    scores, boxes = map(np.array, zip(*near))
    return (scores[:, None] * boxes).sum(axis=0) / scores.sum()


def assert_found(found, row, expected, rtol=1e-4):
    """The image ``row`` of padded detections is ``expected``: boxes, scores, labels."""
    count = len(expected[1])
    np.testing.assert_allclose(found[0][row, :count], expected[0], rtol=rtol, atol=2e-3)
    np.testing.assert_allclose(found[1][row, :count], expected[1], rtol=rtol)
    assert found[2][row, :count].tolist() == expected[2].tolist()
    assert (found[0][row, count:] == 0).all()
    assert (found[1][row, count:] == -1).all()
    assert (found[2][row, count:] == -1).all()


@pytest.mark.parametrize("operators", BACKENDS)
@pytest.mark.parametrize("kind", KINDS_OF_NMS)
@given(
    seed=st.integers(0, 2**31),
    threshold=st.sampled_from([0.3, 0.5]),
    count=st.sampled_from([3, 40]),
    voting=st.sampled_from([None, 0.3, 0.7]),
    hybridized=st.booleans(),
)
def test_detections_are_a_loops(operators, kind, seed, threshold, count, voting, hybridized):
    arrays, floor = crowd(seed), 0.1
    block = Postprocess(
        floor,
        threshold,
        count,
        nms=KINDS_OF_NMS[kind](),
        voting=None if voting is None else BoxVoting(voting),
    )
    if hybridized:
        block.hybridize()
    with backend.using(operators):
        found = detected(block, *arrays)
    for row, size in enumerate(arrays[3]):
        candidates = candidates_of(*(array[row] for array in arrays[:3]), size, floor)
        given = (array[None].astype("float32") for array in candidates)
        kept = nms_oracle(*given, threshold, -1, count, kind, 0.5, 0.05)
        boxes, scores, labels = (array[0][kept.scores[0] >= 0] for array in kept[:3])
        if voting is not None:
            boxes = np.array([voted(*each, candidates, voting) for each in zip(boxes, labels)])
        assert_found(found, row, (boxes.reshape(-1, 4), scores, labels))


@pytest.mark.parametrize("operators", BACKENDS)
def test_hard_is_the_default_to_the_bit(operators):
    arrays = crowd(5, rois=40)
    with backend.using(operators):
        expected = detected(Postprocess(0.05, 0.4, 10), *arrays)
        found = detected(Postprocess(0.05, 0.4, 10, nms=HardNMS()), *arrays)
    assert (expected[1] >= 0).any(axis=1).all()
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one, other)


def test_classes_neither_suppress_nor_vote_for_each_other():
    rois = np.float32([[[5, 5, 20, 20], [5, 5, 20, 24]]])
    logits = np.float32([[[0, 3, -9], [0, -9, 2]]])
    block = Postprocess(nms=LinearNMS(), voting=BoxVoting(0.5))
    found = detected(block, rois, logits, np.zeros((1, 2, 1, 4), "float32"), [[30, 30]])
    np.testing.assert_allclose(found[0][0, :2], rois[0], rtol=1e-5)
    assert found[2][0, :2].tolist() == [0, 1]


def test_the_worst_candidates_neither_enter_nor_vote():
    """Of three boxes the best two are candidates; the third would move the mean."""
    rois = np.float32([[[0, 0, 20, 20], [0, 0, 20, 22], [0, 0, 20, 30]]])
    logits = np.float32([[[0, 2], [0, 1], [0, 0.5]]])
    arrays = rois, logits, np.zeros((1, 3, 1, 4), "float32"), [[40, 40]]
    scores = np.exp(logits[0, :2, 1]) / (1 + np.exp(logits[0, :2, 1]))
    (boxes, *_) = detected(Postprocess(pre_nms=2, voting=BoxVoting(0.5)), *arrays)
    expected = (scores[:, None] * rois[0, :2]).sum(axis=0) / scores.sum()
    np.testing.assert_allclose(boxes[0, 0], expected, rtol=1e-5)
    assert detected(Postprocess(voting=BoxVoting(0.5)), *arrays)[0][0, 0, 3] > expected[3] + 1


def test_a_box_without_an_area_stays_where_it_is():
    rois = np.float32([[[5, 5, 5, 20], [0, 0, 9, 9]]])
    arrays = rois, np.float32([[[0, 3], [0, 2]]]), np.zeros((1, 2, 1, 4), "float32"), [[30, 30]]
    found = detected(Postprocess(min_side=0, voting=BoxVoting()), *arrays)
    np.testing.assert_allclose(found[0][0, :2], rois[0], rtol=1e-6)


def test_values_that_are_not_finite_do_not_vote():
    rois, logits, deltas, sizes = crowd(2)
    block = Postprocess(nms=GaussianNMS(), voting=BoxVoting(0.3))
    logits[0, 1], deltas[0, 2] = np.nan, np.inf
    found = detected(block, rois, logits, deltas, sizes)
    left = [np.delete(array[:1], [1, 2], axis=1) for array in (rois, logits, deltas)]
    expected = detected(block, *left, sizes[:1])
    assert all(np.isfinite(array).all() for array in found)
    count = (expected[1] >= 0).sum()
    assert_found(found, 0, [array[0, :count] for array in expected], rtol=1e-5)


@pytest.mark.parametrize("operators", BACKENDS)
@pytest.mark.parametrize("kind", ["linear", "gaussian"])
def test_one_stage_has_the_same_choice(operators, kind):
    """Of one anchor each, a DensePostprocess suppresses as a Postprocess with its candidates."""
    rois, logits, _, sizes = crowd(4, classes=2)
    how = {"nms": KINDS_OF_NMS[kind](), "voting": BoxVoting(0.4)}
    dense = DensePostprocess(0.1, 0.3, 9, **how)
    anchors, sizes = mx.nd.array(rois[:1]), mx.nd.array(sizes[:1])
    level = mx.nd.array(logits[:1, :, 1:]), mx.nd.zeros((1, rois.shape[1], 4))
    with backend.using(operators):
        found = [array.asnumpy() for array in dense([anchors], *([each] for each in level), sizes)]
        block = Postprocess(0.1, 0.3, 9, scores="sigmoid", **how)
        deltas = np.zeros((1, rois.shape[1], 1, 4), "float32")
        expected = detected(block, rois[:1], logits[:1], deltas, sizes.asnumpy())
    count = (expected[1] >= 0).sum()
    assert count > 3
    assert_found(found, 0, [array[0, :count] for array in expected])


def test_an_anchor_whose_logits_are_not_finite_gives_none_of_the_first_ones_votes():
    rois, logits, _, sizes = crowd(6)
    block = DensePostprocess(0.1, nms=GaussianNMS(), voting=BoxVoting(0.3))

    def found(rows):
        anchors, given = mx.nd.array(rois[:1, rows]), mx.nd.array(logits[:1, rows, 1:])
        deltas = mx.nd.zeros((1, anchors.shape[1], 4))
        outputs = block([anchors], [given], [deltas], mx.nd.array(sizes[:1]))
        return [array.asnumpy() for array in outputs]

    logits[0, 7:] = np.nan
    expected, count = found(slice(7)), (found(slice(7))[1] >= 0).sum()
    assert_found(found(slice(None)), 0, [array[0, :count] for array in expected], rtol=1e-5)


# --- in every detector ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*(kind for kind in KINDS if kind != "RPN"), "FastRCNN"])
def test_every_detector_has_both(small_model, images, kind):
    """The candidates come from the same network before NMS, the choice among them from a loop."""
    model = small_model(kind=FastRCNN) if kind == "FastRCNN" else KINDS[kind](small_model)
    with_choices(model, "gaussian", True, floor=0.05, votes=0.1)
    pixels, sizes = images((64, 80))
    inputs = [mx.nd.array(each) for each in (pixels, sizes)]
    if kind == "FastRCNN":
        proposals = np.stack(boxes_in(pixels.transpose(0, 2, 3, 1)))
        inputs += [mx.nd.array(proposals), mx.nd.ones(proposals.shape[:2])]
    found = [array.asnumpy() for array in model(*inputs)[:3]]
    candidates, scores, labels = (array.asnumpy() for array in before_nms(model)(*inputs))
    kept = nms_oracle(candidates, scores, labels, 0.4, -1, 12, "gaussian", 0.5, 0.05)
    real = scores[0] >= 0
    rows = candidates[0][real], scores[0][real], labels[0][real]
    count = int((kept.scores[0] >= 0).sum())
    boxes, lowered, classes = (array[0][:count] for array in kept[:3])
    moved = np.array([voted(*each, rows, 0.1) for each in zip(boxes, classes)])
    assert count > 3 and np.abs(moved - boxes).max() > 0.1
    assert_found(found, 0, (moved, lowered, classes))


# --- exported -------------------------------------------------------------------------------------


def with_choices(model, kind, voting, floor=0.2, votes=0.3):
    """The model, whose detections overlap and are suppressed and moved as said."""
    how = {"nms": KINDS_OF_NMS[kind](), "voting": BoxVoting(votes) if voting else None}
    dense = isinstance(model.postprocess, DensePostprocess)
    options = {"box_weights": model.postprocess.box_weights, "max_detections": 12}
    with model.name_scope():
        block = (DensePostprocess if dense else Postprocess)(floor, 0.4, **options, **how)
        model.postprocess = block
    return model


@pytest.mark.parametrize("operators", BACKENDS)
@pytest.mark.parametrize("kind", ["FasterRCNN", "RetinaNet", "MaskRCNN"])
@pytest.mark.parametrize("nms", ["hard", "linear"])
def test_an_exported_detector_finds_the_same(small_model, tmp_path, operators, kind, nms):
    detector = exported(with_choices(KINDS[kind](small_model), nms, True), tmp_path, operators)
    loaded, images = detkit.load_exported(tmp_path), photos((64, 80), (50, 96))
    assert_same(loaded.detect(images), detector.detect(images))
    assert_same([loaded.detect(images[1])], [detector.detect(images[1])])


@ONNX
@pytest.mark.parametrize("kind", ["FasterRCNN", "RetinaNet", "CascadeRCNN"])
def test_voting_in_onnx(small_model, images, kind):
    assert_detections_agree(with_choices(KINDS[kind](small_model), "hard", True), images)


@ONNX
@pytest.mark.parametrize("nms", ["linear", "gaussian"])
def test_soft_nms_is_not_in_onnx(small_model, nms):
    with pytest.raises(ExportError, match=r"soft-NMS.*model\.postprocess\.nms: \{type: hard\}"):
        convert(detector_of(with_choices(small_model(), nms, False)))


# --- in a config ----------------------------------------------------------------------------------


def built(folder, *overrides):
    config = load_config(tiny.project(folder), overrides)
    import_plugins(config)
    return build_model(config, ("a", "b"), mx.cpu())


def test_a_config_chooses(tmp_path):
    model = built(
        tmp_path, "model.postprocess={nms: {type: gaussian, sigma: 0.3}, voting: {iou: 0.6}}"
    )
    assert isinstance(model.postprocess.nms, GaussianNMS)
    assert isinstance(model.postprocess.voting, BoxVoting)
    plain = built(tmp_path, "model.postprocess={nms: null, voting: null}")
    assert isinstance(plain.postprocess.nms, HardNMS)
    assert plain.postprocess.voting is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("nms.type=soft", ["model.postprocess.nms.type", "'soft'", "gaussian, hard, linear"]),
        ("nms={type: gaussian, sigma: 0}", ["model.postprocess.nms.sigma", "above 0", "0"]),
        ("nms={type: linear, min_score: -1}", ["model.postprocess.nms.min_score", "-1"]),
        ("nms={type: linear, sigma: 1}", ["unknown key 'sigma'", "min_score=0.001"]),
        ("voting={iou: 1.0}", ["model.postprocess.voting.iou", "[0, 1)", "1.0"]),
        ("voting=0.5", ["model.postprocess.voting", "expected a mapping", "0.5"]),
        ("votng={iou: 0.5}", ["unknown key 'votng'; did you mean 'voting'?"]),
    ],
)
def test_a_wrong_choice_is_explained(tmp_path, value, said):
    with pytest.raises(ConfigError) as caught:
        built(tmp_path, f"model.postprocess.{value}")
    tiny.assert_says(str(caught.value), *said)
