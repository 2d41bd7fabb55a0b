"""Fast R-CNN: the second half of Faster R-CNN, on proposals that come with the images."""

import json
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import HybridBlock, nn

import detkit
from detkit.build import build_model
from detkit.config import load_config
from detkit.data import Shapes, load_proposals
from detkit.detector import Detector
from detkit.errors import DataError
from detkit.losses import RoILoss, SmoothL1
from detkit.models import RPN, FastRCNN
from detkit.plugins import import_plugins
from detkit.registry import HEADS
from detkit.targets import MaxIoUAssigner, RandomSampler, RoITargets
from detkit.train_steps import FastRCNNTrainStep
from support import projects, tiny
from support.detecting import agrees, assert_same, detect, exported
from support.projects import FAST_RCNN as PROJECT
from support.steps import (
    BOXES,
    EVERYTHING,
    LABELS,
    ROI_WEIGHTS,
    SIZES,
    half,
    learns,
    losses_of,
    make_step,
)

pytestmark = pytest.mark.processor
HALF = ("normalize", "backbone", "neck", "roi_extractor", "roi_head", "postprocess")


@pytest.fixture
def halves(small_model):
    """A small Faster R-CNN, its RPN and its Fast R-CNN, of the same blocks."""
    whole = small_model()
    return whole, half(whole, RPN), half(whole, FastRCNN, HALF)


def batch_of(rpn, images, *sizes):
    """Images, sizes and the proposals that an RPN makes of them."""
    pixels, sizes = images(*sizes)
    return (pixels, sizes, *detect(rpn, pixels, sizes)[:2])


def fast_step(model):
    rois = MaxIoUAssigner(0.5, 0.5, best_for_object=False)
    targets = RoITargets(rois, RandomSampler(EVERYTHING, 1), ROI_WEIGHTS)
    return FastRCNNTrainStep(model, roi_targets=targets, roi_loss=RoILoss(SmoothL1(1.0)))


def test_on_faster_rcnns_proposals_it_is_faster_rcnn(halves, images):
    whole, rpn, fast = halves
    batch = batch_of(rpn, images, *SIZES)
    expected = detect(whole, *batch[:2])
    assert (expected[1] >= 0).any(axis=1).all()
    for found, theirs in zip(detect(fast, *batch), expected):
        np.testing.assert_array_equal(found, theirs)


def test_imperative_hybridized_exported_and_each_row_alone_agree(halves, images, tmp_path):
    _, rpn, fast = halves
    batch = batch_of(rpn, images, (64, 48), (40, 80), (64, 80))
    imperative = agrees(fast, *batch)
    assert_same(detect(exported(fast, tmp_path, *batch), *batch), imperative)


def test_padding_among_the_proposals_is_not_looked_at(halves, images):
    _, rpn, fast = halves
    pixels, sizes, proposals, scores = batch_of(rpn, images, *SIZES)
    expected = detect(fast, pixels, sizes, proposals, scores)
    more = np.concatenate([proposals, np.full_like(proposals, 7)], axis=1)
    padded = np.concatenate([scores, np.full_like(scores, -1)], axis=1)
    assert_same(detect(fast, pixels, sizes, more, padded), expected)
    assert (detect(fast, pixels, sizes, proposals, np.full_like(scores, -1))[1] == -1).all()


def test_its_losses_are_those_of_faster_rcnn(halves, images):
    whole, _, fast = halves
    batch, step = images(*SIZES), make_step(whole)
    expected = losses_of(step, *batch)
    inputs = list(map(mx.nd.array, batch))
    features = whole.features(*inputs)
    proposals = step.proposals(whole.anchors(features), *whole.rpn_head(features), inputs[1])
    with autograd.record():
        found = fast_step(fast)(*inputs, mx.nd.array(BOXES), mx.nd.array(LABELS), *proposals)
    assert list(found) == ["roi_class", "roi_box"]
    for name, loss in found.items():
        assert loss.asscalar() == pytest.approx(expected[name].asscalar(), rel=1e-5)


def test_a_few_steps_lower_the_losses(halves, images):
    _, rpn, fast = halves
    pixels, sizes, *proposals = batch_of(rpn, images, *SIZES)
    assert learns(fast_step(fast), (pixels, sizes, BOXES, LABELS, *proposals))


# --- in use ---------------------------------------------------------------------------------------


@pytest.fixture
def detectors(halves):
    """Detectors of the whole network, of its RPN, of its Fast R-CNN."""
    names = (("a", "b", "c"), ("object",), ("a", "b", "c"))
    return [
        Detector(model, known, [], mx.cpu(), pad_multiple=32) for model, known in zip(halves, names)
    ]


def test_detect_takes_proposals_in_pixels_of_the_image(detectors):
    whole, rpn, fast = detectors
    pictures = [Shapes(2, size=size).image(0) for size in ((64, 48), (40, 80))]
    proposals = [found.boxes for found in rpn.detect(pictures)]
    expected = whole.detect(pictures)
    for found, theirs in zip(fast.detect(pictures, proposals), expected):
        assert len(found.boxes) > 0
        np.testing.assert_allclose(found.boxes, theirs.boxes, atol=1e-3)
        np.testing.assert_array_equal(found.labels, theirs.labels)
    alone = fast.detect(pictures[1], proposals[1])
    np.testing.assert_allclose(alone.boxes, expected[1].boxes, atol=1e-3)
    beyond = np.concatenate([proposals[1], [[-9, -9, 0, 0], [80, 3, 90, 9]]])
    np.testing.assert_array_equal(fast.detect(pictures[1], beyond).boxes, alone.boxes)
    assert len(fast.detect(pictures[1], np.zeros((0, 4))).boxes) == 0
    assert fast.detect([], []) == []


@pytest.mark.parametrize(
    ("proposals", "message"),
    [
        (None, r"proposals: .*FastRCNN.*1 arrays.*none"),
        ([np.zeros((1, 4))] * 2, "FastRCNN.*1 arrays.*found 2"),
        ([np.zeros(4)], r"proposals\[0\]: expected boxes \(R, 4\).*float64 \(4,\)"),
        ([[["a"] * 4]], r"proposals\[0\]: .*<U1 \(1, 4\)"),
        ([[[0, 0, np.nan, 9]]], r"proposals\[0\]: expected finite boxes.*nan"),
    ],
)
def test_proposals_are_checked(detectors, proposals, message):
    with pytest.raises(DataError, match=message):
        detectors[2].detect([np.zeros((20, 30, 3), "uint8")], proposals)


def test_a_detector_that_makes_its_own_takes_none(detectors):
    with pytest.raises(DataError, match="FasterRCNN.*makes its own"):
        detectors[0].detect(np.zeros((20, 30, 3), "uint8"), np.zeros((1, 4)))


# --- alternating training, in small ---------------------------------------------------------------


@pytest.fixture(scope="module")
def proposals(config, tmp_path_factory):
    """Overrides that name the proposals of both splits, which a trained RPN made by the tool."""
    folder = tmp_path_factory.mktemp("proposals")
    assert tiny.train(config, folder, *projects.RPN) == 0
    last, overrides = folder / "checkpoints/step-00000006", []
    for split in ("train", "val"):
        out = folder / f"{split}.npz"
        arguments = (folder / "config.yaml", last, "--split", split, "--out", out)
        assert tiny.tool("test", *arguments) == 0
        overrides.append(f"data.{split}_proposals={{path: {out}}}")
    return overrides


def path_of(override):
    return Path(override.split("path: ")[1].rstrip("}"))


@pytest.fixture(scope="module")
def trained(config, proposals, tmp_path_factory):
    """The folder of a Fast R-CNN trained on them."""
    folder = tmp_path_factory.mktemp("fast")
    assert tiny.train(config, folder, *PROJECT, *proposals) == 0
    return folder


def test_the_tools_train_and_test_on_the_proposals_of_an_rpn(trained, proposals, tmp_path):
    assert set(tiny.records(trained, "train")[0]) > {"roi_class", "roi_box"}
    config, last = trained / "config.yaml", trained / "checkpoints/step-00000006"
    out = tmp_path / "found.json"
    assert tiny.tool("test", config, last, "--out", out, "--work-dir", tmp_path) == 0
    results = [json.loads((at / "result.json").read_text()) for at in (trained, tmp_path)]
    assert results[0]["AP50"] == pytest.approx(results[1]["AP50"], abs=1e-4)
    arguments = (config, last, "--split", "train", "--work-dir", tmp_path)
    assert tiny.tool("test", *arguments) == 0
    dataset = tiny.validation_set(config)
    given = load_proposals(path_of(proposals[1]), dataset)
    image_id = dataset.annotation(2).image_id
    found = detkit.load(config, last).detect(dataset.image(2), given[image_id])
    entries = [e for e in json.loads(out.read_text()) if e["image_id"] == image_id]
    assert len(entries) == len(found.boxes) > 0
    scores = sorted((entry["score"] for entry in entries), reverse=True)
    np.testing.assert_allclose(scores, found.scores, atol=1e-5)


def test_an_npz_of_proposals_is_evaluated_without_the_model(proposals, capsys):
    given = path_of(proposals[0])
    folder = given.parent
    assert tiny.tool("evaluate", folder / "config.yaml", given, "--split", "train") == 0
    numbers = dict(line.split() for line in capsys.readouterr().out.splitlines())
    written = json.loads((folder / "result_train.json").read_text())
    names = ("split", "checkpoint", "images", "objects", "skipped")
    about = {name: written.pop(name) for name in names}
    assert about["split"] == "train" and about["images"] > 0 and about["objects"] > 0
    shown = {n: "-" if value is None else f"{100 * value:.1f}" for n, value in written.items()}
    assert numbers == shown


def test_images_without_proposals_train_on_their_objects(config, proposals, tmp_path, capsys):
    given = path_of(proposals[0])
    with np.load(given) as arrays:
        nothing = {name: arrays[name][:0] for name in ("boxes", "scores")}
        np.savez(tmp_path / "none.npz", **{**arrays, **nothing, "counts": arrays["counts"] * 0})
    without = proposals[0].replace(str(given), str(tmp_path / "none.npz"))
    work = tmp_path / "work"
    assert tiny.train(config, work, *PROJECT, without, proposals[1]) == 0
    assert "proposed 0 boxes an image, 12 images without any; 0.0% " in capsys.readouterr().out
    assert tiny.records(work, "train")[-1]["roi_class"] > 0


def test_an_npz_of_a_detector_that_tells_classes_is_refused(trained, tmp_path, capsys):
    run, out = (trained / "config.yaml", trained / "checkpoints/best"), tmp_path / "found.npz"
    message = tiny.refused(capsys, "test", *run, "--out", out)
    tiny.assert_says(message, f"--out {out}", "'FastRCNN'", "classes", ".npz", ".json")


def test_a_run_goes_on_with_its_proposals(config, proposals, trained, tmp_path):
    overrides = (*PROJECT, *proposals)
    assert tiny.train(config, tmp_path, *overrides, "train.hooks=[{type: StopAfter, step: 2}]") == 0
    assert tiny.train(config, tmp_path, *overrides, resume="auto", force=True) == 0
    last = "checkpoints/step-00000006"
    tiny.assert_same_checkpoint(tmp_path / last, trained / last)


def test_demo_says_that_there_are_no_proposals(trained, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 40, 3), "uint8"))
    last = trained / "checkpoints/step-00000006"
    arguments = (trained / "config.yaml", last, tmp_path / "a.png", "--out", tmp_path)
    message = tiny.refused(capsys, "demo", *arguments)
    tiny.assert_says(message, "FastRCNN", "proposals", "--proposals")


@HEADS.register(force=True)
class OpenWidthHead(HybridBlock):
    """A RoI head that leaves it to MXNet how wide its input is."""

    def __init__(self, in_channels, in_size, num_classes):
        super().__init__()
        with self.name_scope():
            self.classes, self.boxes = nn.Dense(1 + num_classes), nn.Dense(4 * num_classes)

    def hybrid_forward(self, F, roi_features):
        return self.classes(roi_features), F.reshape(self.boxes(roi_features), shape=(0, -1, 4))


def test_a_width_that_a_plugin_leaves_open_is_found_out(config):
    """By running the network once, with a proposal."""
    config = load_config(config, (*PROJECT, "model.roi_head={type: OpenWidthHead}"))
    import_plugins(config)
    model = build_model(config, ("a", "b"), mx.cpu())
    assert model.roi_head.classes.weight.shape == (3, 16 * 3 * 3)


def test_proposals_must_be_named_where_they_are_needed_and_only_there(config, proposals, capsys):
    refused = ("train", config, "--dry-run", "--set")
    message = tiny.refused(capsys, *refused, *PROJECT, proposals[0])
    assert "the key 'val_proposals' is missing" in message
    message = tiny.refused(capsys, *refused, proposals[0])
    assert "data.train_proposals" in message
    tiny.assert_says(message, "'FasterRCNN'", "no proposals", "remove")
    wrong = proposals[0].replace("path", "limit: 0, path")
    message = tiny.refused(capsys, *refused, *PROJECT, wrong, proposals[1])
    tiny.assert_says(message, "train_proposals.limit: ", "at least 1", "found 0")


def test_proposals_of_another_split_are_refused(config, proposals, capsys):
    one, other = (text.split("=")[0] for text in proposals)
    swapped = [proposals[0].replace(one, other), proposals[1].replace(other, one)]
    message = tiny.refused(capsys, "train", config, "--dry-run", "--set", *PROJECT, *swapped)
    tiny.assert_says(
        message, "data.train_proposals", "val.npz: ", "images of the dataset", "'shapes-2-"
    )
