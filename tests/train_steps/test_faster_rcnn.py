"""The training step of Faster R-CNN: losses against numpy, no waiting for the device, learning."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit.data import Shapes
from detkit.runner.hooks import Hook
from detkit.targets import OHEM, MaxIoUAssigner, RoITargets
from detkit.train_steps import RoIStage
from support import kernel_oracles, oracles
from support.steps import (
    BOXES,
    LABELS,
    ROI_WEIGHTS,
    SIZES,
    gradients,
    learns,
    losses_of,
    make_step,
    training,
)

pytestmark = pytest.mark.processor
GOLDEN = {"rpn_class": 0.62786, "rpn_box": 0.033520, "roi_class": 0.93490, "roi_box": 0.085446}


def expected_losses(model, pixels, sizes):
    """Everything between the network's layers by the oracles, image by image."""
    inputs = model.normalize(mx.nd.array(pixels), mx.nd.array(sizes))
    (features,) = model.backbone(inputs)
    objectness, deltas = (level.asnumpy() for (level,) in model.rpn_head([features]))
    anchors = oracles.anchor_grid(*features.shape[2:], 8, (12, 24), (0.25, 1, 4))
    anchor_labels, anchor_targets, rois, roi_labels, roi_targets = [], [], [], [], []
    for row, size in enumerate(sizes):
        real = BOXES[row][LABELS[row] >= 0]
        classes = LABELS[row][LABELS[row] >= 0]
        inside = np.ones(len(anchors), bool)
        labels, matched = oracles.assign(oracles.iou_matrix(anchors, real), inside, 0.7, 0.3)
        anchor_labels.append(labels)
        anchor_targets.append([oracles.encode(real[g], a) for g, a in zip(matched, anchors)])
        level = (anchors, objectness[row, None], deltas[row, None])
        (proposed,), (scores,) = kernel_oracles.proposals([level], [size], 200, 30, 0.7, 2)
        proposed = np.concatenate([proposed[scores >= 0], real])
        overlaps = oracles.iou_matrix(proposed, real)
        labels, matched = oracles.assign(
            overlaps, np.ones(len(proposed), bool), 0.5, 0.5, best_for_object=False
        )
        rois.append(proposed)
        roi_labels.append(np.where(labels == 1, 1 + classes[matched], labels))
        roi_targets.append(
            [oracles.encode(real[g], p, ROI_WEIGHTS) for g, p in zip(matched, proposed)]
        )
    stack = [np.array(a) for a in (objectness, deltas, anchor_labels, anchor_targets)]
    pooled = [
        oracles.roi_align(maps, roi, 3, 8, 2, True)
        for maps, theirs in zip(features.asnumpy(), rois)
        for roi in theirs
    ]
    logits, moves = (a.asnumpy() for a in model.roi_head(mx.nd.array(np.array(pooled))))
    flat = [np.concatenate(a) for a in (roi_labels, roi_targets)]
    return (
        *oracles.rpn_losses(*stack, beta=1 / 9),
        *oracles.roi_losses(logits, moves, *flat, beta=1.0),
    )


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_losses_are_numpys(small_model, images, class_agnostic):
    model = small_model(class_agnostic=class_agnostic)
    pixels, sizes = images(*SIZES)
    losses = losses_of(make_step(model), pixels, sizes)
    found = [loss.asscalar() for loss in losses.values()]
    assert found == pytest.approx(expected_losses(model, pixels, sizes), rel=1e-3)


@pytest.mark.parametrize("hybridized", [False, True])
def test_golden_losses(small_model, images, hybridized):
    model = small_model()
    step = make_step(model)
    if hybridized:
        model.hybridize()
        step.hybridize()
    losses = losses_of(step, *images(*SIZES))
    found = {name: loss.asscalar() for name, loss in losses.items()}
    assert found == pytest.approx(GOLDEN, rel=1e-3)


def test_every_weight_gets_a_gradient(small_model, images):
    model = small_model()
    losses = losses_of(make_step(model, 16, 0.5), *images(*SIZES))
    autograd.backward(list(losses.values()))
    found = gradients(model)
    assert len(found) == 18
    for name, gradient in found.items():
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0, name


def test_the_boxes_of_proposals_carry_no_gradient(small_model, images):
    model = small_model()
    losses = losses_of(make_step(model), *images(*SIZES))
    autograd.backward([losses["roi_class"], losses["roi_box"]])
    for name, gradient in gradients(model).items():
        assert (gradient == 0).all() == name.startswith("rpn_head"), name


def test_images_without_objects_train(small_model, images):
    model = small_model()
    model.hybridize()
    step = make_step(model, 16, 0.5)
    step.hybridize()
    boxes, labels = np.zeros_like(BOXES), np.full_like(LABELS, -1)
    losses = losses_of(step, *images(*SIZES), boxes, labels)
    autograd.backward(list(losses.values()))
    for name, loss in losses.items():
        assert (loss.asscalar() > 0) == name.endswith("class"), name
        assert loss.asscalar() >= 0
    assert all(np.isfinite(gradient).all() for gradient in gradients(model).values())


def test_a_tiny_image_trains(small_model, images):
    model = small_model()
    boxes, labels = np.array([[[1, 1, 6, 5]]]), np.array([[2]])
    losses = losses_of(make_step(model, 16, 0.5), *images((8, 8)), boxes, labels)
    autograd.backward(list(losses.values()))
    assert all(np.isfinite(loss.asscalar()) for loss in losses.values())
    assert all(np.isfinite(gradient).all() for gradient in gradients(model).values())


def test_a_few_steps_lower_the_losses(small_model, images):
    assert learns(make_step(small_model()), (*images(*SIZES), BOXES, LABELS), lr=0.02)


def test_ohem_trains_on_the_rois_of_largest_loss(small_model, images):
    """Of all candidates' losses by a step that draws them all, the largest come out."""
    model, batch = small_model(), images(*SIZES)
    losses_of_all, rois = [], MaxIoUAssigner(0.5, 0.5, best_for_object=False)
    everything = make_step(model)

    def spy(*targets):
        stage = RoIStage(model.roi_extractor, model.roi_head, sampled, everything.roi_loss)
        losses_of_all.append(stage.losses_of(model.features(*pixels), *targets))
        return losses_of_all[0]

    pixels = [mx.nd.array(array) for array in batch]
    features = model.features(*pixels)
    anchors = model.anchors(features)
    proposals = everything.proposals(anchors, *model.rpn_head(features), pixels[1])
    sampled = RoITargets(rois, OHEM(5, 1.0), ROI_WEIGHTS)
    labels = sampled(*proposals, mx.nd.array(BOXES), mx.nd.array(LABELS), spy)[1]
    assert (labels.asnumpy() >= 0).all()
    hardest = np.sort(losses_of_all[0].asnumpy(), axis=1)[:, -5:]

    found = losses_of(make_step(model, roi_targets=sampled), *batch)
    together = found["roi_class"].asscalar() + found["roi_box"].asscalar()
    assert together == pytest.approx(hardest.mean(), rel=1e-4)


HARD = (
    "train_step.rpn_targets.sampler={type: IoUBalancedSampler, size: 16}",
    "train_step.roi_targets.sampler={type: OHEM, size: 8}",
    "train_step.rpn_loss={class: {type: SigmoidFocal}, box: {type: GIoULoss}}",
    "train_step.roi_loss={class: {type: CrossEntropy, weights: [0.5, 1, 1, 1, 1, 1, 2]}, "
    "box: {type: CIoULoss}, box_weight: 2.0}",
)
DENSE = (
    "train_step.rpn_targets.sampler={type: PseudoSampler}",
    "train_step.roi_targets.sampler={type: PseudoSampler}",
    "train_step.roi_loss={class: {type: SigmoidBCE}, box: {type: BalancedL1}}",
    "model.postprocess.scores=sigmoid",
    "train_step.rpn_loss.box={type: L1}",
)
FOCAL = (
    "train_step.rpn_loss={box: {type: SmoothL1}, box_normalizer: locations, box_weight: 10}",
    "train_step.roi_targets.sampler={type: RandomSampler, size: 16, fill_up: true}",
    "train_step.roi_loss={class: {type: SoftmaxFocal, alpha: [1, 1, 1, 1, 1, 1, 2]}, "
    "box: {type: SmoothL1}}",
)


@pytest.mark.parametrize("parts", [HARD, DENSE, FOCAL])
def test_a_config_trains_with_other_losses_and_samplers(tmp_path, parts):
    runner = training(tmp_path, *parts, "train.epochs=1").runner(str(tmp_path / "run"))
    runner.run()
    assert runner.progress.step == 3


def test_anchor_locations_are_the_cells_of_the_map(tmp_path):
    """The box loss by ``locations`` is that by ``sampled``, divided by another count."""
    losses = []
    for normalizer in ("sampled", "locations"):
        trained = training(
            tmp_path / normalizer, f"train_step.rpn_loss.box_normalizer={normalizer}"
        )
        batch = next(trained.loader.batches(0))
        arrays = [mx.nd.array(getattr(batch, name)) for name in trained.train_step.INPUTS]
        mx.random.seed(0)
        with autograd.record():
            losses.append(trained.train_step(*arrays))
    features = trained.model.features(*arrays[:2])
    cells = sum(level.shape[0] * level.shape[2] * level.shape[3] for level in features)
    sampled, by_locations = (each["rpn_box"].asscalar() for each in losses)
    drawn = trained.config["train_step"]["rpn_targets"]["sampler"]["size"]
    assert sampled > 0
    assert by_locations == pytest.approx(sampled * drawn * len(batch.sizes) / cells, rel=1e-4)
    assert losses[0]["rpn_class"].asscalar() == losses[1]["rpn_class"].asscalar()


def test_proposals_of_training_are_as_large_as_in_the_image(tmp_path):
    """With the scale 1/2 of a Resize, 8 pixels of the image are 4 of the input."""
    losses = []
    resized = "data.train_transforms=[{type: Resize, short: 32, long: 64}]"
    kinds = {"input": 4, "image": 8}
    for kind, smallest in kinds.items():
        section = f"{{pre_nms: 1000, post_nms: 16, min_size: {smallest}, min_size_of: {kind}}}"
        trained = training(tmp_path / kind, resized, f"train_step.proposals={section}")
        assert ("scales" in trained.train_step.INPUTS) == (kind == "image")
        batch = next(trained.loader.batches(0))
        assert (batch.scales == 0.5).all()
        arrays = [mx.nd.array(batch.array(name)) for name in trained.train_step.INPUTS]
        mx.random.seed(0)
        with autograd.record():
            losses.append({k: v.asscalar() for k, v in trained.train_step(*arrays).items()})
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


class Spy(Hook):
    """Notes at which step the run copies to the host or waits for all; silent before the first."""

    def __init__(self, monkeypatch):
        self.waits, self._step = [], None
        for owner, name in ((mx.nd.NDArray, "asnumpy"), (mx.nd, "waitall")):
            monkeypatch.setattr(owner, name, self._noting(getattr(owner, name)))

    def _noting(self, genuine):
        def note(*args):
            if self._step is not None:
                self.waits.append(self._step)
            return genuine(*args)

        return note

    def before_step(self, run):
        self._step = run.progress.step + 1

    def after_epoch(self, run):
        self._step = None


def test_the_host_copies_at_log_intervals_only(tmp_path, monkeypatch):
    spy = Spy(monkeypatch)
    overrides = ("train.epochs=1", "train.batch_size=2", "train.log_every=3", "train.clip_norm=1")
    runner = training(tmp_path, *overrides).runner(str(tmp_path / "run"))
    runner.hooks.insert(0, spy)
    runner.run()
    assert runner.progress.step == 6
    assert set(spy.waits) == {1, 3, 6}  # the first step is reported as well


@pytest.mark.slow
def test_two_images_are_learnt_by_heart(tmp_path):
    split = "{type: Shapes, length: 2, size: [64, 64], seed: 1, max_objects: 2, min_object: 0.3}"
    objects = Shapes(length=2, size=(64, 64), seed=1, max_objects=2, min_object=0.3)
    assert all(len(objects.annotation(index).boxes) for index in range(2))
    overrides = (
        f"data.train={split}",
        f"data.val={split}",
        "data.train_transforms=[]",
        "model.roi_head.hidden=[64]",
        "model.roi_head.dropout=0",
        "model.anchors.sizes=[16, 32]",
        "train.epochs=150",
        "train.batch_size=2",
        "train.lr=0.05",
        "train.schedule={type: CosineSchedule, warmup_steps: 10}",
        "train.evaluate_every=150",
        "train.log_every=50",
        "train.pictures=0",
        "train.keep=1",
    )
    runner = training(tmp_path, *overrides).runner(str(tmp_path / "run"))
    runner.run()
    assert runner.metrics["AP50"] == 1.0
