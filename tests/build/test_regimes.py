"""The key ``regime``: what it accepts, and which detectors it fits."""

import pytest

from detkit.errors import ConfigError
from detkit.registry import PROPOSALS
from detkit.train_steps import ExactFasterRCNNTrainStep, FasterRCNNTrainStep
from support import steps, tiny
from support.projects import RPN

POOL = "model.roi_extractor={type: PrRoIPool, size: 3}"


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        ((), FasterRCNNTrainStep),
        (("regime=joint",), FasterRCNNTrainStep),
        (("regime=null",), FasterRCNNTrainStep),
        (("regime=exact", POOL), ExactFasterRCNNTrainStep),
    ],
)
def test_a_regime_chooses_the_training_step(tmp_path, overrides, kind):
    assert type(steps.training(tmp_path, *overrides).train_step) is kind


@pytest.mark.parametrize("pooling", ["RoIAlign", "RoIPool", "CropPool"])
def test_a_pooling_without_the_gradient_is_refused(tmp_path, pooling):
    with pytest.raises(ConfigError) as refusal:
        pool = f"model.roi_extractor={{type: {pooling}, size: 3}}"
        steps.training(tmp_path, "regime=exact", pool)
    tiny.assert_says(str(refusal.value), f"roi_extractor={{type: {pooling}", "'exact'", "PrRoIPool")


@pytest.mark.parametrize(
    ("overrides", "fragments"),
    [
        (("regime=exakt",), ("regime", "'exakt'", "joint, alternating, exact", "did you mean")),
        (("regime=3",), ("regime", "expected str", "3 (int)")),
        (("train_step.proposals.with_anchors=true",), ("with_anchors", "the regime sets it")),
        (("model.proposals.with_anchors=false",), ("model.proposals.with_anchors", "remove it")),
        (
            ("regime=exact", POOL, "train_step.type=FasterRCNNWithNegatives"),
            ("train_step.type", "no type", "'exact'", "'FasterRCNNWithNegatives'"),
        ),
        (("regime=exact", *RPN), ("'exact'", "FasterRCNN", "'RPN'", "regime: joint")),
    ],
)
def test_a_regime_that_does_not_fit_is_refused(tmp_path, overrides, fragments):
    with pytest.raises(ConfigError) as refusal:
        steps.training(tmp_path, *overrides)
    tiny.assert_says(str(refusal.value), *fragments)


def test_proposals_of_a_plugin_that_do_not_name_their_anchors_are_refused(tmp_path):
    with PROPOSALS.temporarily(), pytest.raises(ConfigError) as refusal:
        PROPOSALS.register("Nameless")(lambda box_weights: None)
        steps.training(tmp_path, "regime=exact", POOL, "train_step.proposals={type: Nameless}")
    tiny.assert_says(str(refusal.value), "with_anchors", "Nameless")
