"""Exact joint training: every gradient against central differences of the whole step."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit.losses import GIoULoss, RoILoss
from detkit.models import Proposals, PrRoIPool
from detkit.ops import backend
from detkit.train_steps import ExactFasterRCNNTrainStep
from support import steps, tiny
from support.environment import BACKENDS

pytestmark = pytest.mark.processor
EXACT = ("regime=exact", "model.roi_extractor={type: PrRoIPool, size: 3}")
LAST = "checkpoints/step-00000006"
STEP = 1e-3  # of the differences


def exact_step(small_model, size=steps.EVERYTHING, **parts):
    """A step whose sample is fixed, unless a smaller size is asked for."""
    model = small_model(roi_extractor=PrRoIPool((8,), 8, size=3))
    proposals = Proposals(pre_nms=200, post_nms=30, min_size=2, with_anchors=True)
    parts = {**steps.step_parts(size, 0.5), "proposals": proposals, **parts}
    return ExactFasterRCNNTrainStep(model, **parts)


def losses_of(step, batch, names):
    return sum(step(*map(mx.nd.array, batch))[name] for name in names)


def slope(step, batch, names, parameter, direction):
    """The slope of the losses along a direction of a parameter, by central differences."""
    before = parameter.data().copy()
    values = []
    for sign in (1, -1):
        parameter.set_data(before + sign * STEP * mx.nd.array(direction))
        values.append(float(losses_of(step, batch, names).asscalar()))
    parameter.set_data(before)
    return (values[0] - values[1]) / (2 * STEP)


WEIGHTS = ("rpn_head.deltas.weight", "rpn_head.deltas.bias", "backbone.features.2.weight")


@pytest.mark.parametrize("operators", BACKENDS)
@pytest.mark.parametrize("box_loss", ["deltas", "boxes"])
def test_the_gradient_of_every_loss_is_its_slope(small_model, images, operators, box_loss):
    hybridized = box_loss == "deltas"
    parts = {"roi_loss": RoILoss(GIoULoss(), box_weights=steps.ROI_WEIGHTS)}
    batch = [*images(*steps.SIZES), steps.BOXES, steps.LABELS]
    rng = np.random.default_rng(1)
    with backend.using(operators):
        step = exact_step(small_model, **(parts if box_loss == "boxes" else {}))
        if hybridized:
            step.model.hybridize()
            step.hybridize()
        named = step.model._collect_params_with_prefix()
        for names in (["roi_class"], ["roi_box"], ["rpn_class", "rpn_box", "roi_class", "roi_box"]):
            with autograd.record():
                loss = losses_of(step, batch, names)
            loss.backward()
            grads = steps.gradients(step.model)
            for name in WEIGHTS:
                direction = rng.normal(size=grads[name].shape)
                direction /= np.linalg.norm(direction)
                found = float((grads[name] * direction).sum())
                expected = slope(step, batch, names, named[name], direction)
                assert abs(expected) > 1e-3, (names, name)  # there is something to compare
                np.testing.assert_allclose(found, expected, rtol=0.02, atol=4e-4, err_msg=name)


def test_the_losses_are_those_of_the_joint_step_and_the_gradient_is_not(small_model, images):
    batch = [*images(*steps.SIZES), steps.BOXES, steps.LABELS]
    exact = exact_step(small_model, size=16)
    joint = steps.make_step(exact.model, size=16, positive_share=0.5)
    values, grads = [], []
    for step in (joint, exact):
        step.hybridize()
        mx.random.seed(3)
        with autograd.record():
            losses = step(*map(mx.nd.array, batch))
            total = losses["roi_class"] + losses["roi_box"]
        total.backward()
        values.append({name: loss.asscalar() for name, loss in losses.items()})
        grads.append(steps.gradients(step.model))
    for name, value in values[0].items():
        np.testing.assert_allclose(values[1][name], value, rtol=1e-4, err_msg=name)
    assert np.abs(grads[0]["rpn_head.deltas.weight"]).max() == 0
    assert np.abs(grads[1]["rpn_head.deltas.weight"]).max() > 1e-4
    for each in grads:  # the scores of the proposals decide which they are, not what they are
        assert np.abs(each["rpn_head.objectness.weight"]).max() == 0


def test_an_image_without_objects_has_finite_gradients(small_model, images):
    boxes, labels = np.zeros((2, 1, 4), "float32"), np.full((2, 1), -1, "float32")
    step = exact_step(small_model, size=16)
    steps.losses_of(step, *images(*steps.SIZES), boxes, labels)["roi_class"].backward()
    assert all(np.isfinite(each).all() for each in steps.gradients(step.model).values())


def test_it_learns(small_model, images):
    step = exact_step(small_model)
    batch = [*images(*steps.SIZES), steps.BOXES, steps.LABELS]
    assert steps.learns(step, batch)


def test_a_run_goes_on_bit_for_bit(config, tmp_path):
    assert tiny.train(config, tmp_path / "whole", *EXACT) == 0
    stopped = (*EXACT, tiny.hook("SignalAt", step=4))
    assert tiny.train(config, tmp_path / "parts", *stopped) == 143
    assert tiny.train(config, tmp_path / "parts", *EXACT, resume="auto", force=True) == 0
    tiny.assert_same_checkpoint(tmp_path / "whole" / LAST, tmp_path / "parts" / LAST)
