"""Mask R-CNN: one graph with a fourth output, a fifth loss, and the tools around it."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit.losses import MaskLoss
from detkit.models import MaskRCNN, RoIAlign
from detkit.models.roi_heads import FCMaskHead, MaskHead
from detkit.targets import MaskTargets
from detkit.train_steps import MaskRCNNTrainStep
from support import tiny
from support.detecting import agrees, assert_same, detect, exported
from support.one_head_more import learnt, used_by_the_tools
from support.steps import BOXES, EVERYTHING, LABELS, MASKS, SIZES, losses_of, make_step, step_parts

OVERRIDES = (
    "model.type=MaskRCNN",
    "model.mask_extractor={type: RoIAlign, size: 4}",
    "model.mask_head={type: MaskHead, convs: 1, channels: 8}",
    "evaluate={type: COCOEvaluator}",
)


@pytest.fixture
def mask_model(small_model):
    def build(head=None, **options):
        head = head or MaskHead(8, 4, num_classes=3, convs=1, channels=6, **options)
        return small_model(kind=MaskRCNN, mask_extractor=RoIAlign([8], 8, size=4), mask_head=head)

    return build


def mask_step(model):
    targets = MaskTargets(model.mask_head.size, 12)
    return MaskRCNNTrainStep(model, mask_targets=targets, mask_loss=MaskLoss(), **step_parts())


def step_losses(step, pixels, sizes, labels=LABELS):
    arrays = list(map(mx.nd.array, (pixels, sizes, BOXES, labels)))
    with autograd.record():
        losses = step(*arrays, mx.nd.array(MASKS, dtype="uint8"))
    assert list(losses)[-1] == "mask"
    return losses


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"class_agnostic": True},
        {"norm": "BN"},
        {"head": FCMaskHead(8, 4, num_classes=3, hidden=[9], size=8)},
    ],
    ids=["MaskHead", "class_agnostic", "norm", "FCMaskHead"],
)
def test_imperative_hybridized_and_each_row_alone_agree(mask_model, images, options):
    model = mask_model(**options)
    imperative = agrees(model, *images((64, 48), (40, 80), (64, 80)))
    assert imperative[3].shape == (3, 12, 8, 8)
    assert 0 <= imperative[3].min() < imperative[3].max() <= 1


def test_boxes_are_faster_rcnns_and_masks_those_of_their_class(mask_model, small_model, images):
    model = mask_model()
    pixels, sizes = images((64, 48), (40, 80))
    boxes, scores, labels, probabilities = detect(model, pixels, sizes)
    rois = mx.nd.array(boxes)
    features = model.features(mx.nd.array(pixels), mx.nd.array(sizes))
    under_boxes = model.mask_extractor(features, rois)
    logits = [model.mask_head(under_boxes, mx.nd.full((2, 12), k)).asnumpy() for k in range(3)]
    assert (scores >= 0).sum() > 3
    for image, row in zip(*np.nonzero(scores >= 0)):
        own = logits[int(labels[image, row])][image, row]
        np.testing.assert_allclose(probabilities[image, row], 1 / (1 + np.exp(-own)), rtol=1e-4)
    plain = small_model()
    theirs = {n: p for n, p in plain._collect_params_with_prefix().items() if p.grad_req != "null"}
    ours = model._collect_params_with_prefix()
    for name, parameter in theirs.items():
        parameter.set_data(ours[name].data())
    assert_same((boxes, scores, labels), detect(plain, pixels, sizes))


def test_the_exported_graph_gives_masks_at_every_size(mask_model, images, tmp_path):
    model = mask_model()
    again = exported(model, tmp_path, *images((32, 32)))
    for sizes in ([(64, 48), (40, 80)], [(24, 100)]):
        batch = images(*sizes)
        assert_same(detect(again, *batch), detect(model, *batch))


@pytest.mark.parametrize("hybridized", [False, True])
def test_a_fifth_loss_beside_the_four(mask_model, images, hybridized):
    model = mask_model()
    step = mask_step(model)
    if hybridized:
        model.hybridize()
        step.hybridize()
    pixels, sizes = images(*SIZES, canvas=(64, 80))
    losses = step_losses(step, pixels, sizes)
    four = losses_of(make_step(model, EVERYTHING), pixels, sizes)
    for name, theirs in four.items():
        assert losses[name].asscalar() == pytest.approx(theirs.asscalar(), rel=1e-4)
    assert 0.3 < losses["mask"].asscalar() < 3
    autograd.backward(list(losses.values()))
    for name, parameter in model._collect_params_with_prefix().items():
        if parameter.grad_req != "null":
            gradient = parameter.grad().asnumpy()
            assert np.isfinite(gradient).all()
            assert np.abs(gradient).max() > 0, name


def test_images_without_objects_train(mask_model, images):
    model = mask_model()
    pixels, sizes = images(*SIZES, canvas=(64, 80))
    losses = step_losses(mask_step(model), pixels, sizes, np.full_like(LABELS, -1))
    autograd.backward(list(losses.values()))
    assert losses["mask"].asscalar() == 0
    assert all(np.isfinite(loss.asscalar()) for loss in losses.values())


@pytest.mark.slow
def test_masks_are_learnt(tmp_path):
    """Two images by heart; a ring is not its box."""
    options = ("model.mask_extractor.size=7", "model.mask_head.channels=32")
    weight = ("train_step.mask_loss.weight=4", "train.lr=0.02")
    metrics = learnt(tmp_path, *OVERRIDES, *options, *weight)
    assert metrics["AP50"] == 1.0
    assert metrics["mask_AP50"] == 1.0
    assert metrics["mask_AP"] > 0.5


def test_the_tools_train_evaluate_and_draw_masks(tmp_path, capsys):
    record, table, entries, found = used_by_the_tools(tmp_path, capsys, *OVERRIDES)
    assert record["mask"] > 0
    assert "mask_AP50" in table
    assert all(entry["segmentation"]["size"] == [64, 64] for entry in entries)
    assert found.masks.shape == (len(found.boxes), 50, 90)
    assert found.mask_probs.shape == (len(found.boxes), 8, 8)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (OVERRIDES[:1], "mask_extractor"),
        (OVERRIDES[:2], "mask_head"),
        (OVERRIDES[1:2], "mask_extractor"),
        ((*OVERRIDES[:3], "train_step.mask_targets.thresold=0.5"), "thresold"),
        ((*OVERRIDES[:3], "model.mask_head.num_classes=3"), "num_classes"),
        (("train_step.mask_loss.weight=2",), "mask_loss"),
    ],
)
def test_parts_of_masks_that_are_missing_or_too_many_are_said(tmp_path, capsys, overrides, message):
    config = tiny.project(tmp_path)
    said = tiny.refused(capsys, "train", config, "--work-dir", tmp_path / "w", "--set", *overrides)
    assert message in said
