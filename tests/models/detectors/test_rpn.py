"""The region proposal network alone: one graph, its losses, and the tools around it."""

import json

import cv2
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

import detkit
from detkit.checkpoints import load_checkpoint
from detkit.data import Shapes
from detkit.losses import RPNLoss, SmoothL1
from detkit.models import RPN
from detkit.targets import MaxIoUAssigner, RandomSampler, RPNTargets
from detkit.train_steps import RPNTrainStep
from support import tiny
from support.detecting import agrees, assert_same, detect, exported
from support.projects import RPN as PROJECT
from support.steps import (
    BOXES,
    EVERYTHING,
    LABELS,
    RPN_WEIGHTS,
    SIZES,
    half,
    learns,
    losses_of,
    make_step,
)

pytestmark = pytest.mark.processor


@pytest.fixture
def rpn(small_model):
    """The first half of the small Faster R-CNN."""
    return half(small_model(), RPN)


def rpn_step(model):
    targets = RPNTargets(MaxIoUAssigner(), RandomSampler(EVERYTHING, 1), RPN_WEIGHTS, straddle=None)
    return RPNTrainStep(model, rpn_targets=targets, rpn_loss=RPNLoss(SmoothL1(1 / 9)))


def test_its_detections_are_the_proposals(rpn, images):
    pixels, sizes = images(*SIZES)
    boxes, scores, labels = detect(rpn, pixels, sizes)
    pixels, sizes = mx.nd.array(pixels), mx.nd.array(sizes)
    features = rpn.features(pixels, sizes)
    expected = rpn.proposals(rpn.anchors(features), *rpn.rpn_head(features), sizes)
    assert_same((boxes, scores), [array.asnumpy() for array in expected])
    np.testing.assert_array_equal(labels, np.where(scores >= 0, 0, -1))
    assert ((scores >= 0) & (scores <= 1)).any(axis=1).all()


def test_imperative_hybridized_exported_and_each_row_alone_agree(rpn, images, tmp_path):
    batch = images((64, 48), (40, 80), (64, 80))
    imperative = agrees(rpn, *batch)
    assert_same(detect(exported(rpn, tmp_path, *batch), *batch), imperative)


def test_an_image_of_padding_alone_has_no_proposals(rpn, images):
    pixels, _ = images((32, 48), (32, 48))
    _, scores, labels = detect(rpn, pixels, [[0, 0], [32, 48]])
    assert (scores[0] == -1).all()
    assert (labels[0] == -1).all()
    assert (labels[1] == 0).any()


def test_its_losses_are_those_of_faster_rcnn(small_model, images):
    batch, model = images(*SIZES), small_model()
    expected = losses_of(make_step(model), *batch)
    with autograd.record():
        found = rpn_step(half(model, RPN))(*map(mx.nd.array, (*batch, BOXES, LABELS)))
    assert list(found) == ["rpn_class", "rpn_box"]
    for name, loss in found.items():
        assert loss.asscalar() == expected[name].asscalar() > 0


def test_a_few_steps_lower_the_losses(rpn, images):
    assert learns(rpn_step(rpn), (*images(*SIZES), BOXES, LABELS))


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    """The folder of a finished training."""
    folder = tmp_path_factory.mktemp("rpn")
    assert tiny.train(config, folder, *PROJECT) == 0
    return folder


def test_training_keeps_the_checkpoint_of_the_best_recall(run):
    result = json.loads((run / "result.json").read_text())
    assert list(result)[:2] == ["AR4", "AR16"]
    assert 0 < result["AR4"] <= result["AR16"] <= 1
    best = load_checkpoint(str(run / "checkpoints/best"))
    assert best.class_names == ("object",)
    evaluations = [record["AR16"] for record in tiny.records(run, "evaluate")]
    assert best.best == best.metrics["AR16"] == max(evaluations)
    assert set(tiny.records(run, "train")[0]) > {"rpn_class", "rpn_box"}
    assert sorted(path.name for path in (run / "pictures").iterdir())[0] == "epoch-001.png"


def test_the_tools_test_evaluate_and_draw_proposals(run, tmp_path, capsys):
    config, last = run / "config.yaml", run / "checkpoints/step-00000006"
    out = tmp_path / "proposals.json"
    assert tiny.tool("test", config, last, "--out", out, "--work-dir", tmp_path) == 0
    table = capsys.readouterr().out.replace(f"written: {tmp_path}/result.json\n", "")
    assert [line.split()[0] for line in table.splitlines()][:2] == ["AR4", "AR16"]
    entries = json.loads(out.read_text())
    assert {entry["category_id"] for entry in entries} == {1}
    assert all(0 <= entry["score"] <= 1 for entry in entries)
    assert tiny.tool("evaluate", config, out) == 0
    assert capsys.readouterr().out == table
    assert tiny.tool("evaluate", config, out, "--set", "evaluate={type: VOCEvaluator}") == 0
    assert "object" in capsys.readouterr().out
    image = Shapes(1, size=(50, 90)).image(0)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    drawn = ("--out", tmp_path / "drawn", "--score", 0)
    assert tiny.tool("demo", config, last, tmp_path / "a.png", *drawn) == 0
    assert capsys.readouterr().out.split(": ")[1].startswith("object 0.")
    found = detkit.load(config, last).detect(image)
    assert found.class_names == ("object",)
    assert 0 < len(found.boxes) <= 16


def test_the_images_of_data_train_are_tested_as_they_are(run, tmp_path):
    """Neither mirrored nor shuffled: what the detector finds in the images of the dataset."""
    config, last = run / "config.yaml", run / "checkpoints/step-00000006"
    out, work = tmp_path / "proposals.json", tmp_path / "work"
    arguments = ("--split", "train", "--out", out, "--work-dir", work)
    assert tiny.tool("test", config, last, *arguments) == 0
    assert [path.name for path in work.iterdir()] == ["result_train.json"]
    dataset = Shapes(length=12, size=(64, 64), seed=1)
    entries = json.loads(out.read_text())
    assert {entry["image_id"] for entry in entries} == {
        dataset.annotation(index).image_id for index in range(12)
    }
    found = detkit.load(config, last).detect(dataset.image(3))
    rows = [e["bbox"] for e in entries if e["image_id"] == dataset.annotation(3).image_id]
    boxes = np.array(rows)
    boxes[:, 2:] += boxes[:, :2]
    np.testing.assert_allclose(boxes, found.boxes, atol=1e-3)
    evaluate = ("evaluate", config, out)
    assert tiny.tool(*evaluate, "--split", "train") == 0
    assert tiny.tool(*evaluate) == 1  # another split


def test_an_rpn_has_no_second_half(config, tmp_path, capsys):
    arguments = ("train", config, "--work-dir", tmp_path / "w", "--set", *PROJECT)
    for key in ("model.roi_head={type: FCHead}", "train_step.roi_loss={box: {type: SmoothL1}}"):
        assert key.split("=")[0].split(".")[1] in tiny.refused(capsys, *arguments, key)
