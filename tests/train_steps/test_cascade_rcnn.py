"""The training step of Cascade R-CNN: its losses against numpy's, stage by stage."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import nn

from detkit.losses import MaskLoss, RoILoss, SmoothL1
from detkit.models import FasterRCNN
from detkit.targets import (
    OHEM,
    IoUBalancedSampler,
    MaskTargets,
    MaxIoUAssigner,
    RandomSampler,
    RoITargets,
)
from detkit.train_steps import CascadeMaskRCNNTrainStep, CascadeRCNNTrainStep
from support import oracles
from support.cascades import cascade, mask_cascade, refined_by_numpy
from support.detecting import assert_same, detect
from support.steps import (
    BOXES,
    EVERYTHING,
    LABELS,
    MASKS,
    SIZES,
    gradients,
    learns,
    make_step,
    step_parts,
)

pytestmark = pytest.mark.processor
IOUS = (0.5, 0.6, 0.7)


def cascade_step(
    model, sampler=lambda: RandomSampler(EVERYTHING, 1), kind=CascadeRCNNTrainStep, **others
):
    """The step of a cascade of as many stages as the model has, from that of a FasterRCNN."""
    targets, losses = nn.Sequential(), nn.HybridSequential()
    for iou, weights, factor in zip(IOUS, model.stage_weights, (1, 0.5, 0.25)):
        assigner, drawn = MaxIoUAssigner(iou, iou, best_for_object=False), sampler()
        targets.add(RoITargets(assigner, drawn, weights))
        losses.add(RoILoss(SmoothL1(1.0), class_weight=factor, box_weight=factor))
    return kind(model, **{**step_parts(), "roi_targets": targets, "roi_loss": losses, **others})


def losses_of(step, pixels, sizes, boxes=BOXES, labels=LABELS):
    with autograd.record():
        return step(*map(mx.nd.array, (pixels, sizes, boxes, labels)))


def expected_losses(model, step, pixels, sizes):
    """Those of the stages: everything between the network's layers by numpy, image by image."""
    features = model.features(*map(mx.nd.array, (pixels, sizes)))
    proposed = step.proposals(
        model.anchors(features), *model.rpn_head(features), mx.nd.array(sizes)
    )
    proposed = [b[s >= 0] for b, s in zip(*(array.asnumpy() for array in proposed))]
    losses = []
    for number, head in enumerate(model.roi_heads):
        weights, stage = model.stage_weights[number], []
        for row, size in enumerate(sizes):
            real, classes = BOXES[row][LABELS[row] >= 0], LABELS[row][LABELS[row] >= 0]
            rois = np.concatenate([proposed[row], real])
            overlaps = oracles.iou_matrix(rois, real)
            labels, matched = oracles.assign(
                overlaps, np.ones(len(rois), bool), IOUS[number], IOUS[number], 0, False
            )
            targets = np.zeros((len(rois), 4))
            for r in np.flatnonzero(labels == 1):
                targets[r] = oracles.encode(real[matched[r]], rois[r], weights)
            maps = [level[row : row + 1] for level in features]
            outputs = head(model.roi_extractor(maps, mx.nd.array(rois[None])))
            logits, deltas = (array.asnumpy() for array in outputs)
            stage.append(
                (logits, deltas, np.where(labels == 1, 1 + classes[matched], labels), targets)
            )
            refined = refined_by_numpy(rois, logits, deltas, weights, size)
            proposed[row] = refined[: -len(real)]
        stage = map(np.concatenate, zip(*stage))
        losses.append(oracles.roi_losses(*stage, beta=1.0))
    return np.array(losses) * [[1], [0.5], [0.25]]


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("hybridized", [False, True])
def test_losses_are_numpys(small_model, images, class_agnostic, hybridized):
    model = cascade(small_model(), class_agnostic)
    step = cascade_step(model)
    if hybridized:
        model.hybridize()
        step.hybridize()
    batch = images(*SIZES)
    found = losses_of(step, *batch)
    expected = expected_losses(model, step, *batch)
    stages = [loss.asscalar() for loss in found.values()][2:]
    assert stages == pytest.approx(expected.ravel(), rel=1e-3)
    assert list(found) == [
        "rpn_class",
        "rpn_box",
        "roi_class_1",
        "roi_box_1",
        "roi_class_2",
        "roi_box_2",
        "roi_class_3",
        "roi_box_3",
    ]


def test_one_stage_is_faster_rcnn(small_model, images):
    model = cascade(small_model(), class_agnostic=False, stages=1)
    parts = {name: getattr(model, name) for name in FasterRCNN.PARTS if name != "roi_head"}
    plain = FasterRCNN(**parts, roi_head=model.roi_heads[0])
    pixels, sizes = images(*SIZES)
    assert_same(detect(model, pixels, sizes), detect(plain, pixels, sizes))
    cascades = losses_of(cascade_step(model), pixels, sizes)
    expected = losses_of(make_step(plain), pixels, sizes)
    for ours, theirs in zip(cascades.values(), expected.values()):
        assert ours.asscalar() == pytest.approx(theirs.asscalar(), rel=1e-4)
    assert list(cascades)[2:] == ["roi_class_1", "roi_box_1"]


def test_every_weight_gets_a_gradient_and_none_from_the_next_stage(small_model, images):
    model = cascade(small_model())
    losses = losses_of(cascade_step(model), *images(*SIZES))
    autograd.backward(list(losses.values()), retain_graph=True)
    for name, gradient in gradients(model).items():
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0, name
    model.collect_params().zero_grad()
    autograd.backward([losses["roi_class_3"], losses["roi_box_3"]])
    for name, gradient in gradients(model).items():
        assert (gradient != 0).any() == name.startswith(("backbone", "roi_heads.2")), name


def test_images_without_objects_train(small_model, images):
    model = cascade(small_model())
    step = cascade_step(model, lambda: RandomSampler(16, 0.25))
    losses = losses_of(step, *images(*SIZES), np.zeros_like(BOXES), np.full_like(LABELS, -1))
    autograd.backward(list(losses.values()))
    for name, loss in losses.items():
        assert (loss.asscalar() > 0) == ("class" in name), name
    assert all(np.isfinite(gradient).all() for gradient in gradients(model).values())


def test_samplers_that_need_losses_or_overlaps(small_model, images):
    """Where all are drawn it is the same by every sampler; where few are, the hardest."""
    model, batch = cascade(small_model()), images(*SIZES)
    everything, hard, spread, hardest = (
        [loss.asscalar() for loss in losses_of(cascade_step(model, sampler), *batch).values()]
        for sampler in (
            lambda: RandomSampler(EVERYTHING, 1),
            lambda: OHEM(EVERYTHING, 1.0),
            lambda: IoUBalancedSampler(EVERYTHING, 1),
            lambda: OHEM(6, 1.0),
        )
    )
    assert hard == pytest.approx(everything, rel=1e-4)
    assert spread == pytest.approx(everything, rel=1e-4)
    assert sum(hardest[2:4]) > sum(everything[2:4])


def test_a_few_steps_lower_the_losses(small_model, images):
    step = cascade_step(cascade(small_model()))
    assert learns(step, (*images(*SIZES), BOXES, LABELS), lr=0.02)


def test_masks_have_a_loss_beside_those_of_the_stages(small_model, images):
    model = mask_cascade(small_model())
    step = cascade_step(
        model,
        kind=CascadeMaskRCNNTrainStep,
        mask_targets=MaskTargets(model.mask_head.size, 12),
        mask_loss=MaskLoss(),
    )
    batch = images(*SIZES, canvas=(64, 80))
    arrays = list(map(mx.nd.array, (*batch, BOXES, LABELS)))
    with autograd.record():
        losses = step(*arrays, mx.nd.array(MASKS, dtype="uint8"))
    of_boxes = losses_of(cascade_step(model), *batch)
    assert list(losses) == [*of_boxes, "mask"]
    for name, theirs in of_boxes.items():
        assert losses[name].asscalar() == pytest.approx(theirs.asscalar(), rel=1e-4)
    autograd.backward([losses["mask"]])
    assert losses["mask"].asscalar() > 0.3
    assert np.abs(gradients(model)["mask_head.masks.weight"]).max() > 0
