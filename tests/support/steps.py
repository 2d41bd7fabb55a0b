"""A batch of two images, the training step of a small Faster R-CNN, and what is done with it."""

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon

from detkit.build import open_config
from detkit.build.training import Training
from detkit.losses import RoILoss, RPNLoss, SmoothL1
from detkit.models import Proposals
from detkit.targets import MaxIoUAssigner, RandomSampler, RoITargets, RPNTargets
from detkit.train_steps import FasterRCNNTrainStep
from support import tiny

BOXES = np.array([[[4, 4, 30, 28], [20, 10, 44, 60]], [[8, 2, 40, 30], [0, 0, 0, 0]]], "float32")
LABELS = np.array([[0, 2], [1, -1]], "float32")
SIZES = ((64, 48), (40, 80))
MASKS = np.zeros((2, 2, 64, 80), "uint8")
MASKS[0, 0, 4:28, 4:20] = MASKS[0, 1, 10:60, 30:44] = MASKS[1, 0, 2:30, 8:40] = 1
RPN_WEIGHTS, ROI_WEIGHTS = (1, 1, 1, 1), (10, 10, 5, 5)
EVERYTHING = 10000  # a sample of this size leaves nothing to chance
HALF = ("normalize", "backbone", "neck", "anchors", "rpn_head", "proposals")


def step_parts(size=EVERYTHING, positive_share=1):
    """The parts of a FasterRCNNTrainStep, by name."""
    rois = MaxIoUAssigner(0.5, 0.5, best_for_object=False)
    anchors, drawn = (RandomSampler(size, positive_share) for _ in range(2))
    return {
        "rpn_targets": RPNTargets(MaxIoUAssigner(), anchors, RPN_WEIGHTS, straddle=None),
        "rpn_loss": RPNLoss(SmoothL1(1 / 9)),
        "proposals": Proposals(pre_nms=200, post_nms=30, min_size=2),
        "roi_targets": RoITargets(rois, drawn, ROI_WEIGHTS),
        "roi_loss": RoILoss(SmoothL1(1.0)),
    }


def make_step(model, size=EVERYTHING, positive_share=1, **others):
    return FasterRCNNTrainStep(model, **{**step_parts(size, positive_share), **others})


def losses_of(step, pixels, sizes, boxes=BOXES, labels=LABELS):
    with autograd.record():
        losses = step(*map(mx.nd.array, (pixels, sizes, boxes, labels)))
    assert list(losses) == ["rpn_class", "rpn_box", "roi_class", "roi_box"]
    return losses


def gradients(model):
    parameters = model._collect_params_with_prefix()
    return {n: p.grad().asnumpy() for n, p in parameters.items() if p.grad_req != "null"}


def training(tmp_path, *overrides):
    return Training(open_config(tiny.project(tmp_path), overrides))


def half(model, kind, names=HALF):
    """A detector of some of a model's parts."""
    return kind(**{name: getattr(model, name) for name in names})


def totals_of_steps(step, batch, count=12, lr=0.05):
    """The sum of the losses in each of some steps on the same batch, hybridized."""
    step.model.hybridize()
    step.hybridize()
    trainer = gluon.Trainer(step.model.collect_params(), "sgd", {"learning_rate": lr}, None)
    totals = []
    for _ in range(count):
        with autograd.record():
            losses = step(*map(mx.nd.array, batch))
        autograd.backward(list(losses.values()))
        trainer.step(1)
        totals.append(sum(loss.asscalar() for loss in losses.values()))
    return totals


def learns(step, batch, lr=0.05):
    """Whether some steps on one batch lower the sum of the losses by a fifth."""
    totals = totals_of_steps(step, batch, lr=lr)
    return totals[-1] < 0.8 * totals[0]
