"""Frozen parts: nothing of them changes, they cost no backward pass, and they are released."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import HybridBlock, nn

from detkit.checkpoints import Progress, load_checkpoint
from detkit.errors import ConfigError
from detkit.models.norms import norm_layer
from detkit.preflight import preflight
from detkit.runner.freezing import Freezing
from support import steps, tiny

LAST = "checkpoints/step-00000006"
DECAY = "train.weight_decay=0.1"


def arrays(folder, step=6):
    checkpoint = load_checkpoint(str(folder / f"checkpoints/step-{step:08d}"))
    return {name: array.asnumpy() for name, array in checkpoint.weights.items()}


def changed(one, other):
    """The parts of two networks of which some array differs."""
    names = [name for name in one if not np.array_equal(one[name], other[name])]
    return {name.partition(".")[0] for name in names}


def test_nothing_of_a_frozen_part_changes(config, reference, tmp_path):
    start = f"train.start_from={reference / LAST}"
    assert tiny.train(config, tmp_path, start, DECAY, "train.freeze=[backbone, roi_head]") == 0
    before, after = arrays(reference), arrays(tmp_path)
    assert any("running_mean" in name for name in before)
    assert changed(before, after) == {"rpn_head"}
    optimizer = load_checkpoint(str(tmp_path / LAST)).optimizer
    assert {name.partition(".")[0] for name in optimizer} == {"momentum/rpn_head"}


def test_the_rest_is_trained_as_with_a_learning_rate_of_zero(config, tmp_path):
    still = "train.multipliers=[{match: ^rpn_head, lr: 0, decay: 0}]"
    assert tiny.train(config, tmp_path / "zero", still) == 0
    assert tiny.train(config, tmp_path / "frozen", "train.freeze=[rpn_head]") == 0
    expected = arrays(tmp_path / "zero")
    for name, array in arrays(tmp_path / "frozen").items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


class Counted(mx.operator.CustomOp):
    """The identity, which counts its backward passes."""

    backwards = 0

    def forward(self, is_train, req, in_data, out_data, aux):
        self.assign(out_data[0], req[0], in_data[0])

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        Counted.backwards += 1
        self.assign(in_grad[0], req[0], out_grad[0])


@mx.operator.register("counted_identity")
class CountedProp(mx.operator.CustomOpProp):
    def __init__(self):
        super().__init__(need_top_grad=True)

    def create_operator(self, ctx, shapes, dtypes):
        return Counted()


class CountedBackbone(HybridBlock):
    """Two convolutions with a counter behind the second."""

    channels, strides = (8,), (8,)

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.layers = nn.HybridSequential()
            for before in (3, 8):
                self.layers.add(nn.Conv2D(8, 3, {3: 4, 8: 2}[before], 1, in_channels=before))

    def hybrid_forward(self, F, images):
        return [F.Custom(self.layers(images), op_type="counted_identity")]


@pytest.mark.parametrize("hybridized", [False, True])
def test_no_gradient_is_computed_through_a_frozen_prefix(small_model, images, hybridized):
    batch = [*images(*steps.SIZES), steps.BOXES, steps.LABELS]
    for frozen, passes in (
        ([], True),
        (["rpn_head"], True),
        (["backbone"], False),
        (["backbone", "rpn_head"], False),
    ):
        model = small_model(backbone=CountedBackbone())
        step = steps.make_step(model)
        Freezing(model, frozen)
        model.hybridize(hybridized)
        Counted.backwards = 0
        with autograd.record():
            total = mx.nd.add_n(*step(*map(mx.nd.array, batch)).values())
        total.backward()
        mx.nd.waitall()
        assert (Counted.backwards > 0) == passes, frozen
        trained = {name.partition(".")[0] for name in steps.gradients(model)}
        assert trained == {"backbone", "rpn_head", "roi_head"} - set(frozen)


class NormBackbone(HybridBlock):
    """A convolution and three norms, two of them frozen in part from the start."""

    channels, strides = (8,), (8,)

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.layers = nn.HybridSequential()
            self.layers.add(nn.Conv2D(8, 8, 8, in_channels=3))
            for norm in ("BN", "FrozenBN", "FrozenStatsBN"):
                self.layers.add(norm_layer(norm, 8))

    def hybrid_forward(self, F, images):
        return [self.layers(images)]


def requests(model):
    return {n: p.grad_req for n, p in model._collect_params_with_prefix().items()}


def features(model, images):
    """The features of a training step, and those in testing."""
    pixels, sizes = map(mx.nd.array, images(*steps.SIZES))
    pixels.attach_grad()
    with autograd.record():
        (trained,) = model.features(pixels, sizes)
    trained.backward()  # MXNet moves the statistics here
    (tested,) = model.features(pixels, sizes)
    return trained.asnumpy(), tested.asnumpy()


def test_a_frozen_norm_uses_its_statistics_and_a_released_one_the_batchs(small_model, images):
    model = small_model(backbone=NormBackbone())
    model.hybridize()
    before = requests(model)
    trained, tested = features(model, images)
    assert np.abs(trained - tested).max() > 0.1
    freezing = Freezing(model, _until_step(3))
    mean = model.backbone.layers[1].running_mean.data().asnumpy()
    trained, tested = features(model, images)
    np.testing.assert_allclose(trained, tested, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(model.backbone.layers[1].running_mean.data().asnumpy(), mean)
    assert freezing.before_step(Progress(2, 0, 2)) == []
    assert freezing.before_step(Progress(3, 1, 0)) == ["backbone"]
    assert requests(model) == before
    trained, tested = features(model, images)
    assert np.abs(trained - tested).max() > 0.1
    assert not np.array_equal(model.backbone.layers[1].running_mean.data().asnumpy(), mean)
    frozen = model.backbone.layers[2].running_mean.data().asnumpy()
    np.testing.assert_array_equal(frozen, 0)  # as it was made


def _until_step(number):
    return {"backbone": {"steps": number}}


@pytest.mark.parametrize("until", ["{epochs: 1}", "1", "{steps: 3}"])
def test_a_part_is_released_at_an_epoch_or_a_step(config, tmp_path, capsys, until):
    chosen = (f"train.freeze={{backbone: {until}, rpn_head: null}}", "train.keep=9")
    every = ("train.checkpoint_every={steps: 1}", DECAY)
    assert tiny.train(config, tmp_path, *chosen, *every) == 0
    said = capsys.readouterr().out
    tiny.assert_says(said, "step 3: backbone is trained from here on", "frozen   backbone for ")
    tiny.assert_says(said, "rpn_head for the whole run")
    assert changed(arrays(tmp_path, 1), arrays(tmp_path, 3)) == {"roi_head"}
    assert changed(arrays(tmp_path, 3), arrays(tmp_path, 4)) == {"backbone", "roi_head"}
    (record,) = tiny.records(tmp_path, "released")
    assert (record["step"], record["epoch"], record["parts"]) == (3, 1, ["backbone"])


@pytest.mark.parametrize(
    "optimizer",
    [
        ("train.optimizer={type: SGD}",),
        ("train.optimizer={type: AdamW}", "train.lr=0.001"),
        ("train.optimizer={type: Adam}", "train.lr=0.001", "train.accumulate=2"),
    ],
    ids=["SGD", "AdamW", "Adam accumulated"],
)
def test_a_run_goes_on_in_the_middle_of_a_release(config, tmp_path, optimizer):
    chosen = ("train.freeze={backbone: {steps: 3}, rpn_head: {epochs: 1}}", *optimizer)
    assert tiny.train(config, tmp_path / "whole", *chosen) == 0
    for stop in (2, 3, 5):
        parts = tmp_path / f"parts{stop}"
        assert tiny.train(config, parts, *chosen, tiny.hook("SignalAt", step=stop)) == 143
        assert tiny.train(config, parts, *chosen, resume="auto", force=True) == 0
        tiny.assert_same_checkpoint(tmp_path / "whole" / LAST, parts / LAST)


def test_all_steps_of_an_update_train_the_same_weights(small_model):
    model = small_model()
    freezing = Freezing(model, _until_step(3), accumulate=2, per_epoch=3)
    assert freezing.before_step(Progress(3, 1, 0)) == []
    assert freezing.before_step(Progress(4, 1, 1)) == ["backbone"]
    freezing = Freezing(model, {"backbone": {"epochs": 1}}, accumulate=2, per_epoch=3)
    assert freezing.before_step(Progress(3, 1, 0)) == []  # the update began in epoch 0
    assert freezing.before_step(Progress(4, 1, 1)) == ["backbone"]


def test_the_weights_that_are_trained_are_counted(tmp_path):
    training = steps.training(tmp_path, "train.freeze=[backbone]")
    lines = preflight(training)
    assert lines[-2] == "frozen   backbone for the whole run; 0.0 million weights at first"
    rest = training.model.weights_of_parts()
    count = sum(int(np.prod(p.shape)) for p in rest["backbone"].values())
    frozen = sum(int(np.prod(p.shape)) for p in training.freezing.weights)
    assert frozen == count > 0


@pytest.mark.parametrize(
    ("value", "fragments"),
    [
        ("[backbon]", ("train.freeze", "'backbon'", "did you mean 'backbone'", "roi_head")),
        ("[anchors]", ("train.freeze", "'anchors'", "backbone, rpn_head, roi_head")),
        ("{neck: 2}", ("train.freeze.neck", "accepted: backbone, rpn_head, roi_head")),
        ("{backbone: 0}", ("train.freeze.backbone", "epochs", "0 (int)")),
        ("{backbone: soon}", ("train.freeze.backbone", "'soon'")),
        ("{backbone: {weeks: 1}}", ("train.freeze.backbone", "weeks", "steps")),
        ("{backbone: {epochs: 1, steps: 1}}", ("train.freeze.backbone", "both")),
        ("[backbone, rpn_head, roi_head]", ("train.freeze", "all are frozen", "leave out")),
        ("{backbone: 1, rpn_head: 1, roi_head: 1}", ("train.freeze", "all are frozen")),
        ("backbone", ("train.freeze", "list", "'backbone'")),
        ("[3]", ("train.freeze", "list of str", "[3]")),
    ],
)
def test_what_cannot_be_frozen_is_refused(tmp_path, value, fragments):
    with pytest.raises(ConfigError) as refusal:
        steps.training(tmp_path, f"train.freeze={value}")
    tiny.assert_says(str(refusal.value), *fragments)


def test_parts_that_a_config_froze_do_not_count_as_trained(small_model):
    model = small_model()
    for part in (model.backbone, model.rpn_head):
        part.collect_params().setattr("grad_req", "null")
    with pytest.raises(ConfigError, match="all are frozen; leave out one of roi_head"):
        Freezing(model, ["roi_head"])
