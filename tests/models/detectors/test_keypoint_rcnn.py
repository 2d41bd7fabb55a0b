"""Keypoint R-CNN: one graph with heatmaps, a fifth loss, and the tools around it."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit.errors import DataError
from detkit.losses import KeypointLoss
from detkit.models import KeypointRCNN, RoIAlign
from detkit.models.roi_heads import KeypointHead
from detkit.targets import KeypointTargets
from detkit.train_steps import KeypointRCNNTrainStep
from support import tiny
from support.detecting import agrees, assert_same, detect, exported
from support.one_head_more import learnt, used_by_the_tools
from support.steps import BOXES, EVERYTHING, LABELS, SIZES, losses_of, make_step, step_parts

OVERRIDES = (
    "model.type=KeypointRCNN",
    "model.keypoint_extractor={type: RoIAlign, size: 4}",
    "model.keypoint_head={type: KeypointHead, num_keypoints: 4, convs: 1, channels: 8}",
    "evaluate={_delete_: true, type: COCOEvaluator, sigmas: 0.1}",
)
CENTRES = (BOXES[..., None, :2] + BOXES[..., None, 2:]) / 2
KEYPOINTS = np.concatenate([np.tile(CENTRES, (1, 1, 4, 1)), np.full((2, 2, 4, 1), 2)], axis=3)


@pytest.fixture
def keypoint_model(small_model):
    def build(**options):
        head = KeypointHead(8, 4, 3, **{"num_keypoints": 4, "convs": 1, "channels": 6, **options})
        extractor = RoIAlign([8], 8, size=4)
        return small_model(kind=KeypointRCNN, keypoint_extractor=extractor, keypoint_head=head)

    return build


def keypoint_step(model):
    targets = KeypointTargets(model.keypoint_head.size, 12)
    parts = {"keypoint_targets": targets, "keypoint_loss": KeypointLoss()}
    return KeypointRCNNTrainStep(model, **parts, **step_parts())


def step_losses(step, pixels, sizes, labels=LABELS, keypoints=KEYPOINTS):
    arrays = list(map(mx.nd.array, (pixels, sizes, BOXES, labels, keypoints)))
    with autograd.record():
        losses = step(*arrays)
    assert list(losses)[-1] == "keypoint"
    return losses


@pytest.mark.parametrize("options", [{}, {"norm": "BN"}, {"convs": 0}], ids=str)
def test_imperative_hybridized_and_each_row_alone_agree(keypoint_model, images, options):
    imperative = agrees(keypoint_model(**options), *images((64, 48), (40, 80), (64, 80)))
    assert imperative[3].shape == (3, 12, 4, 16, 16)


def test_boxes_are_faster_rcnns_and_heatmaps_those_of_the_boxes(
    keypoint_model, small_model, images
):
    model = keypoint_model()
    pixels, sizes = images((64, 48), (40, 80))
    boxes, scores, labels, heatmaps = detect(model, pixels, sizes)
    features = model.features(mx.nd.array(pixels), mx.nd.array(sizes))
    again = model.keypoint_head(model.keypoint_extractor(features, mx.nd.array(boxes)))
    np.testing.assert_allclose(again.asnumpy().reshape(heatmaps.shape), heatmaps, atol=1e-5)
    plain = small_model()
    ours = model._collect_params_with_prefix()
    for name, parameter in plain._collect_params_with_prefix().items():
        if parameter.grad_req != "null":
            parameter.set_data(ours[name].data())
    assert_same((boxes, scores, labels), detect(plain, pixels, sizes))


def test_the_exported_graph_gives_heatmaps_at_every_size(keypoint_model, images, tmp_path):
    model = keypoint_model()
    again = exported(model, tmp_path, *images((32, 32)))
    for sizes in ([(64, 48), (40, 80)], [(24, 100)]):
        batch = images(*sizes)
        assert_same(detect(again, *batch), detect(model, *batch))


@pytest.mark.parametrize("hybridized", [False, True])
def test_a_fifth_loss_beside_the_four(keypoint_model, images, hybridized):
    model = keypoint_model()
    step = keypoint_step(model)
    if hybridized:
        model.hybridize()
        step.hybridize()
    pixels, sizes = images(*SIZES, canvas=(64, 80))
    losses = step_losses(step, pixels, sizes)
    four = losses_of(make_step(model, EVERYTHING), pixels, sizes)
    for name, theirs in four.items():
        assert losses[name].asscalar() == pytest.approx(theirs.asscalar(), rel=1e-4)
    assert 0.5 * np.log(256) < losses["keypoint"].asscalar() < 2 * np.log(256)
    autograd.backward(list(losses.values()))
    for name, parameter in model._collect_params_with_prefix().items():
        if parameter.grad_req != "null":
            gradient = parameter.grad().asnumpy()
            assert np.isfinite(gradient).all()
            assert np.abs(gradient).max() > 0, name


@pytest.mark.parametrize("missing", ["objects", "keypoints"])
def test_images_without_objects_or_keypoints_train(keypoint_model, images, missing):
    model = keypoint_model()
    pixels, sizes = images(*SIZES, canvas=(64, 80))
    labels = np.full_like(LABELS, -1) if missing == "objects" else LABELS
    losses = step_losses(keypoint_step(model), pixels, sizes, labels, 0 * KEYPOINTS)
    autograd.backward(list(losses.values()))
    assert losses["keypoint"].asscalar() == 0
    assert all(np.isfinite(loss.asscalar()) for loss in losses.values())
    assert not model.keypoint_head.heatmaps.weight.grad().asnumpy().any()


def test_a_head_of_another_number_of_keypoints_is_refused(keypoint_model, images):
    step = keypoint_step(keypoint_model(num_keypoints=17))
    with pytest.raises(DataError, match="keypoint_head.num_keypoints: expected 4, .*found 17"):
        step_losses(step, *images(*SIZES, canvas=(64, 80)))


@pytest.mark.slow
def test_keypoints_are_learnt(tmp_path):
    options = ("model.keypoint_extractor.size=7", "model.keypoint_head.channels=32")
    adam = ("train.optimizer={type: Adam}", "train.lr=0.002")
    metrics = learnt(tmp_path, *OVERRIDES, *options, *adam)
    assert metrics["AP50"] == 1.0
    assert metrics["keypoint_AP50"] == 1.0
    assert metrics["keypoint_AP"] > 0.7


def test_the_tools_train_evaluate_and_draw_keypoints(tmp_path, capsys):
    record, table, entries, found = used_by_the_tools(tmp_path, capsys, *OVERRIDES)
    assert record["keypoint"] > 0
    assert "keypoint_AP50" in table
    assert all(len(entry["keypoints"]) == 12 for entry in entries)
    assert found.keypoints.shape == (len(found.boxes), 4, 3)
    (x1, y1, x2, y2), (x, y, score) = found.boxes.T[..., None], found.keypoints.transpose(2, 0, 1)
    assert ((x > x1) & (x < np.maximum(x2, x1 + 1)) & (y > y1) & (y < np.maximum(y2, y1 + 1))).all()
    assert ((score > 0) & (score <= 1)).all()


@pytest.mark.parametrize(
    ("overrides", "fragments"),
    [
        (OVERRIDES[:1], ["keypoint_extractor"]),
        (OVERRIDES[:2], ["keypoint_head"]),
        ((*OVERRIDES, "model.keypoint_head.num_classes=3"), ["num_classes"]),
        ((*OVERRIDES, "model.keypoint_head.num_keypoints=17"), ["num_keypoints", "4", "found 17"]),
        ((*OVERRIDES, "evaluate.sigmas=[0.1, 0.2]"), ["evaluate.sigmas", "4 keypoints", "found 2"]),
        ((*OVERRIDES, "evaluate.sigmas=null"), ["evaluate.sigmas", "4 keypoints", "found 17"]),
        ((*OVERRIDES, "evaluate.sigmas=-1"), ["sigmas", "above 0", "-1"]),
    ],
)
def test_what_does_not_fit_is_said_before_the_training(tmp_path, capsys, overrides, fragments):
    config = tiny.project(tmp_path)
    said = tiny.refused(capsys, "train", config, "--work-dir", tmp_path / "w", "--set", *overrides)
    assert all(fragment in said for fragment in fragments), said
