"""Faster R-CNN with stored negatives: the losses of the plain step that is given them by hand."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import Block

from detkit.config import load_config
from detkit.models import Proposals
from detkit.preflight import preflight
from detkit.targets import MaxIoUAssigner, RandomSampler, RoITargets
from detkit.train_steps import FasterRCNNWithNegativesTrainStep
from support import oracles, tiny
from support.projects import FAST_RCNN
from support.steps import (
    BOXES,
    EVERYTHING,
    LABELS,
    ROI_WEIGHTS,
    SIZES,
    learns,
    losses_of,
    make_step,
    step_parts,
    training,
)

pytestmark = pytest.mark.processor
# Of each image: an object's own box, one that overlaps it a lot, two that do a little, one apart,
# which is padding in the second image.
STORED = np.array(
    [
        [[4, 4, 30, 28], [5, 5, 31, 29], [20, 12, 40, 36], [0, 0, 12, 12], [0, 50, 14, 64]],
        [[8, 2, 40, 30], [9, 3, 41, 29], [30, 20, 60, 38], [0, 0, 20, 20], [60, 0, 78, 16]],
    ],
    "float32",
)
SCORES = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 1, -1]], "float32")
TYPE = "train_step.type=FasterRCNNWithNegatives"


class Added(Block):
    """The RPN's proposals, and others that are known."""

    def __init__(self, boxes, scores):
        super().__init__()
        self._own = Proposals(pre_nms=200, post_nms=30, min_size=2)
        self._added = mx.nd.array(boxes), mx.nd.array(scores)

    def forward(self, *arguments):
        own = self._own(*arguments)
        return [mx.nd.concat(*pair, dim=1) for pair in zip(own, self._added)]


def roi_targets(low):
    assigner = MaxIoUAssigner(0.5, 0.5, neg_low=low, best_for_object=False)
    return RoITargets(assigner, RandomSampler(EVERYTHING, 1), ROI_WEIGHTS)


def step_of(model, **parts):
    return FasterRCNNWithNegativesTrainStep(model, **{**step_parts(), **parts})


def losses(step, batch, *stored):
    with autograd.record():
        found = step(*map(mx.nd.array, (*batch, BOXES, LABELS, *stored)))
    return {name: loss.asscalar() for name, loss in found.items()}


def plain_losses(step, batch):
    return {name: loss.asscalar() for name, loss in losses_of(step, *batch).items()}


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize(("low", "counts"), [(0, [3, 2]), (0.1, [1, 1])])
def test_losses_are_those_of_the_plain_step_with_the_negatives(
    small_model, images, low, counts, hybridized
):
    model, batch = small_model(), images(*SIZES)
    kept = SCORES.copy()
    for row, boxes in enumerate(STORED):
        best = oracles.iou_matrix(boxes, BOXES[row][LABELS[row] >= 0]).max(axis=1)
        kept[row, (best >= 0.5) | (best < low)] = -1
    assert (kept >= 0).sum(axis=1).tolist() == counts
    expected = plain_losses(
        make_step(model, roi_targets=roi_targets(low), proposals=Added(STORED, kept)), batch
    )
    step = step_of(model, roi_targets=roi_targets(low))
    if hybridized:
        model.hybridize()
        step.hybridize()
    assert losses(step, batch, STORED, SCORES) == pytest.approx(expected, rel=1e-5)
    without = plain_losses(make_step(model, roi_targets=roi_targets(low)), batch)
    assert without["roi_class"] != pytest.approx(expected["roi_class"], rel=1e-4)


def test_stored_boxes_on_objects_change_nothing(small_model, images):
    model, batch = small_model(), images(*SIZES)
    found = losses(step_of(model), batch, STORED[:, :2], SCORES[:, :2])
    assert found == pytest.approx(plain_losses(make_step(model), batch), rel=1e-5)


def test_an_image_without_objects_gives_all_of_them():
    nothing = np.full_like(LABELS, -1)
    negatives = roi_targets(0).negatives(*map(mx.nd.array, (STORED, SCORES, BOXES, nothing)))
    np.testing.assert_array_equal(negatives.asnumpy(), SCORES)


def test_a_few_steps_lower_the_losses(small_model, images):
    batch = (*images(*SIZES), BOXES, LABELS, STORED, SCORES)
    assert learns(step_of(small_model()), batch, lr=0.02)


# --- by a config ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(config, tmp_path_factory):
    """The override that names windows of the training images."""
    out = tmp_path_factory.mktemp("stored") / "train.npz"
    words = ("--method", "sliding_windows", "--split", "train", "--limit", 90, "--out", out)
    assert tiny.tool("propose", config, *words) == 0
    return f"data.train_proposals={{path: {out}}}"


def test_a_config_trains_with_them_and_resumes(stored, config, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert tiny.train(config, whole, TYPE, stored) == 0
    stop = tiny.hook("StopAfter", step=3)
    assert tiny.train(config, parts, TYPE, stored, stop) == 0
    assert tiny.train(config, parts, TYPE, stored, resume="auto", force=True) == 0
    last = "checkpoints/step-00000006"
    tiny.assert_same_checkpoint(whole / last, parts / last)
    assert tiny.tool("test", whole / "config.yaml", whole / last, "--split", "train") == 0


def test_the_losses_of_validation_read_those_of_validation(stored, config, tmp_path):
    out, val_loss = tmp_path / "val.npz", "train.val_loss=true"
    words = ("--method", "sliding_windows", "--split", "val", "--limit", 90, "--out", out)
    assert tiny.tool("propose", config, *words) == 0
    given = f"data.val_proposals={{path: {out}}}"
    assert tiny.train(config, tmp_path / "run", TYPE, stored, given, val_loss) == 0
    records = tiny.records(tmp_path / "run", "val_loss")
    assert len(records) == 2 and all(record["roi_class"] > 0 for record in records)


def test_the_preflight_counts_them(stored, tmp_path):
    lines = preflight(training(tmp_path, TYPE, stored))
    (line,) = (line for line in lines if line.startswith("proposed "))
    tiny.assert_says(line, "boxes an image", "0 images without any")


@pytest.mark.parametrize(
    ("overrides", "fragments"),
    [
        ([TYPE], ["train_proposals"]),
        (["{stored}"], ["data.train_proposals: expected no proposals", "'FasterRCNN'"]),
        ([TYPE, "{stored}", "data.val_proposals={path: a.npz}"], ["data.val_proposals: exp"]),
        ([TYPE, "{stored}", "train.val_loss=true"], ["val_proposals", "missing"]),
        (["train_step.type=FastRCNN"], ["train_step.type: ", "FasterRCNN or", "found 'FastRCNN'"]),
        (["train_step.type=FasterRCNNWithNegative"], ["train_step.type: ", "did you mean"]),
        (["train_step.type=7"], ["train_step.type: ", "found 7"]),
        ([TYPE, "{stored}", "train_step.negatives={}"], ["train_step.negatives", "type"]),
        ([*FAST_RCNN, f"{TYPE}"], ["train_step.type: ", "FastRCNN", "WithNegatives"]),
    ],
)
def test_what_does_not_fit_is_refused(config, stored, overrides, fragments, capsys):
    overrides = [each.replace("{stored}", stored) for each in overrides]
    message = tiny.refused(capsys, "train", config, "--dry-run", "--set", *overrides)
    tiny.assert_says(message, *fragments)


def test_the_detectors_own_step_may_be_named(config):
    assert tiny.tool("train", config, "--dry-run", "--set", "train_step.type=FasterRCNN") == 0


# --- in stages ------------------------------------------------------------------------------------

PROPOSED = (
    "stages=[{name: rpn, model: {type: RPN}, evaluate: {type: ProposalEvaluator}}, "
    "{name: whole, proposals: rpn}]"
)


def test_the_stages_of_a_schedule_take_them(stored, config, tmp_path):
    schedule = "stages=[{name: one, freeze: [backbone]}, {name: two, start_from: one}]"
    assert tiny.train(config, tmp_path, TYPE, stored, schedule, "train.epochs=1") == 0
    for stage in ("one", "two"):
        resolved = (tmp_path / "stages" / stage / "config.yaml").read_text()
        tiny.assert_says(resolved, "FasterRCNNWithNegatives", "train.npz")


def test_a_stage_may_propose_them(config, tmp_path):
    """The stage of the RPN has a step of its own, and the other one takes no file in testing."""
    assert tiny.train(config, tmp_path, TYPE, PROPOSED, "train.epochs=1") == 0
    data = load_config(tmp_path / "stages/whole/config.yaml")["data"]
    assert data["train_proposals"]["path"].endswith("rpn/proposals/train-step-00000003.npz")
    assert "val_proposals" not in data


def test_a_validation_loss_of_a_stage_takes_those_of_validation(config, tmp_path):
    chosen = (TYPE, PROPOSED, "train.epochs=1", "train.val_loss=true")
    assert tiny.train(config, tmp_path, *chosen) == 0
    (record,) = tiny.records(tmp_path / "stages/whole", "val_loss")
    assert record["roi_class"] > 0
