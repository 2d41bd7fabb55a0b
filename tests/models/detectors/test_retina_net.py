"""RetinaNet: one graph, its two losses against numpy's, and that it learns what the tools use."""

import json

import cv2
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

import detkit
from detkit.data import Shapes
from detkit.losses import L1, CrossEntropy, DenseLoss, GIoULoss, SigmoidFocal
from detkit.models import AnchorGrid, DensePostprocess, RetinaHead, RetinaNet
from detkit.models.necks import FPN
from detkit.targets import OHEM, DenseTargets, MaxIoUAssigner, PseudoSampler
from detkit.train_steps import RetinaNetTrainStep
from support import oracles, tiny
from support.detecting import agrees, assert_same, detect, exported
from support.loss_oracles import focal
from support.small import SmallBackbone
from support.steps import BOXES, LABELS, SIZES, gradients, training

pytestmark = pytest.mark.processor


ANCHOR_SIZES, RATIOS = ([12, 16], [24, 32], [48, 64]), (0.5, 1, 2)
BOX_WEIGHTS = (1, 2, 3, 4)
CLASSES = 3
PROJECT = (
    "model={type: RetinaNet, backbone: {type: TinyBackbone}, "
    "neck: {type: FPN, channels: 16, extra: p6}, "
    "anchors: {type: AnchorGrid, sizes: [[16, 24], [32, 48]], ratios: [1]}, "
    "head: {type: RetinaHead, convs: 1, channels: 16}, postprocess: {score_floor: 0}}",
    "train_step={dense_targets: {assigner: {type: MaxIoUAssigner, pos_iou: 0.5, neg_iou: 0.4}, "
    "sampler: {type: PseudoSampler}}, dense_loss: {box: {type: SmoothL1, beta: 0.1111}}}",
)


@pytest.fixture
def model(small_model):
    """Three levels of 6 anchors for each cell, 3 classes."""
    neck = FPN([8], [8], channels=8, extra="p6p7")
    anchors = AnchorGrid(neck.strides, ANCHOR_SIZES, RATIOS)
    return small_model(
        kind=RetinaNet,
        backbone=SmallBackbone(),
        neck=neck,
        anchors=anchors,
        head=RetinaHead(neck.channels, anchors.per_cell, CLASSES, convs=2, channels=8),
        postprocess=DensePostprocess(0.2, max_detections=12, box_weights=BOX_WEIGHTS),
    )


def make_step(model, box=None):
    assigner = MaxIoUAssigner(pos_iou=0.5, neg_iou=0.4)
    return RetinaNetTrainStep(
        model,
        dense_targets=DenseTargets(assigner, PseudoSampler(), BOX_WEIGHTS),
        dense_loss=DenseLoss(box or L1(), box_weights=BOX_WEIGHTS, box_weight=0.5),
    )


def losses_of(step, pixels, sizes, labels=LABELS):
    with autograd.record():
        losses = step(*map(mx.nd.array, (pixels, sizes, BOXES, labels)))
    assert list(losses) == ["dense_class", "dense_box"]
    return losses


def test_imperative_hybridized_and_each_row_alone_agree(model, images):
    pixels, sizes = images((64, 48), (40, 80), (64, 80))
    boxes, scores, labels = agrees(model, pixels, sizes)
    assert (scores > 0.2).all()
    assert len(set(labels.ravel())) == CLASSES
    assert (boxes.max(axis=1) <= sizes[:, [1, 0, 1, 0]]).all()


def test_the_exported_graph_detects_the_same_at_every_size(model, images, tmp_path):
    again = exported(model, tmp_path, *images((32, 32)))
    for sizes in ([(64, 48), (40, 80)], [(24, 100)], [(1, 1)]):
        batch = images(*sizes)
        assert_same(detect(again, *batch), detect(model, *batch))


def expected_losses(model, pixels, sizes):
    """Both losses of a batch by the oracles, anchor by anchor."""
    features = model.features(mx.nd.array(pixels), mx.nd.array(sizes))
    outputs = [mx.nd.concat(*levels, dim=1).asnumpy() for levels in model.head(features)]
    grids = zip(features, (8, 16, 32), ANCHOR_SIZES)
    anchors = np.concatenate(
        [oracles.anchor_grid(*maps.shape[2:], stride, *a, RATIOS) for maps, stride, *a in grids]
    )
    class_loss, box_loss, ignored, positives = 0, 0, 0, 0
    for row, (logits, deltas) in enumerate(zip(*outputs)):
        real, classes = (array[row][LABELS[row] >= 0] for array in (BOXES, LABELS))
        overlaps, everywhere = oracles.iou_matrix(anchors, real), np.ones(len(anchors), bool)
        labels, matched = oracles.assign(overlaps, everywhere, 0.5, 0.4)
        for n in np.flatnonzero(labels >= 0):
            found = classes[matched[n]] if labels[n] == 1 else None
            class_loss += sum(focal(z, k == found, 0.25, 2.0) for k, z in enumerate(logits[n]))
        for n in np.flatnonzero(labels == 1):
            targets = oracles.encode(real[matched[n]], anchors[n], BOX_WEIGHTS)
            box_loss += np.abs(deltas[n].astype("float64") - targets).sum()
        ignored, positives = ignored + (labels < 0).sum(), positives + (labels == 1).sum()
    assert ignored > 0
    assert positives > 3
    return class_loss / positives, 0.5 * box_loss / positives


@pytest.mark.parametrize("hybridized", [False, True])
def test_losses_are_numpys(model, images, hybridized):
    pixels, sizes = images(*SIZES)
    expected = expected_losses(model, pixels, sizes)
    step = make_step(model)
    if hybridized:
        model.hybridize()
        step.hybridize()
    found = [loss.asscalar() for loss in losses_of(step, pixels, sizes).values()]
    assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("box", [L1(), GIoULoss()], ids=["L1", "GIoU"])
def test_every_weight_gets_a_gradient(model, images, box):
    model.hybridize()
    step = make_step(model, box)
    step.hybridize()
    autograd.backward(list(losses_of(step, *images(*SIZES)).values()))
    found = gradients(model)
    assert len(found) == 6 + 4 + 4 + 2 * (4 + 2)
    for name, gradient in found.items():
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0, name


def test_images_without_objects_train(model, images):
    losses = losses_of(make_step(model), *images(*SIZES), labels=np.full_like(LABELS, -1))
    autograd.backward(list(losses.values()))
    assert losses["dense_class"].asscalar() > 0
    assert losses["dense_box"].asscalar() == 0
    assert all(np.isfinite(gradient).all() for gradient in gradients(model).values())


def test_what_is_refused():
    with pytest.raises(ValueError, match="^class: .*binary.* CrossEntropy.* labels"):
        DenseLoss(L1(), CrossEntropy())
    with pytest.raises(ValueError, match="^box: .*deltas or boxes.* SigmoidFocal.* binary"):
        DenseLoss(SigmoidFocal())
    with pytest.raises(ValueError, match="^sampler: .* OHEM.* loss and box"):
        DenseTargets(MaxIoUAssigner(), OHEM(8), BOX_WEIGHTS)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.rpn_head={type: RPNHead}", "rpn_head"),
        ("train_step.rpn_loss={box: {type: L1}}", "rpn_loss"),
        ("model.head={type: RetinaHead, num_classes: 3}", "num_classes"),
        ("train_step.dense_targets={assigner: {type: MaxIoUAssigner}}", "sampler"),
    ],
)
def test_parts_that_are_missing_or_too_many_are_said(tmp_path, capsys, override, message):
    config, work = tiny.project(tmp_path), tmp_path / "w"
    said = tiny.refused(capsys, "train", config, "--work-dir", work, "--set", *PROJECT, override)
    assert message in said


def test_two_images_are_learnt_by_heart(tmp_path):
    split = "{type: Shapes, length: 2, size: [64, 64], seed: 1, max_objects: 2, min_object: 0.3}"
    runner = training(
        tmp_path,
        *PROJECT,
        f"data.train={split}",
        f"data.val={split}",
        "data.train_transforms=[]",
        "train.epochs=60",
        "train.batch_size=2",
        "train.lr=0.05",
        "train.clip_norm=5",
        "train.schedule={type: CosineSchedule, warmup_steps: 10}",
        "train.evaluate_every=60",
        "train.log_every=15",
        "train.pictures=0",
        "train.keep=1",
    ).runner(str(tmp_path / "run"))
    runner.run()
    first, *_, last = tiny.records(tmp_path / "run", "train")
    assert last["dense_class"] < 0.3 * first["dense_class"]
    assert last["dense_box"] < 0.3 * first["dense_box"]
    assert runner.metrics["AP50"] == 1.0


def test_the_tools_train_evaluate_and_draw(tmp_path, capsys):
    config, work = tiny.project(tmp_path), tmp_path / "work"
    assert tiny.tool("train", config, "--dry-run", "--set", *PROJECT) == 0
    said = capsys.readouterr().out
    assert "anchors  4 at each cell, of 2 levels together" in said
    assert "dense_class" in said
    assert tiny.train(config, work, *PROJECT) == 0
    config, last = work / "config.yaml", work / "checkpoints/step-00000006"
    capsys.readouterr()
    assert tiny.tool("test", config, last, "--out", tmp_path / "found.json") == 0
    table = capsys.readouterr().out
    assert tiny.tool("evaluate", config, tmp_path / "found.json") == 0
    assert capsys.readouterr().out.strip() in table
    assert json.loads((tmp_path / "found.json").read_text())
    image = Shapes(1, size=(50, 90)).image(0)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    arguments = (config, last, tmp_path / "a.png", "--out", tmp_path / "drawn", "--score", 0)
    assert tiny.tool("demo", *arguments) == 0
    assert cv2.imread(str(tmp_path / "drawn/a.png")).shape == (50, 90, 3)
    found = detkit.load(config, last).detect(image)
    assert 0 < len(found.boxes) <= 100
    assert (found.boxes <= [90, 50, 90, 50]).all()
