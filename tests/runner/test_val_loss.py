"""The validation loss: its numbers, its determinism, and that the training does not notice it."""

import os
import signal

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit.build import open_config
from detkit.build.training import Training
from detkit.errors import DataError
from detkit.preflight import preflight
from detkit.runner.seed import seed_step
from detkit.runner.val_loss import ValidationLoss
from support import tiny

LAST = "checkpoints/step-00000006"
PARTS = ("rpn_class", "rpn_box", "roi_class", "roi_box")


def built(config, *overrides):
    return Training(open_config(config, ("train.val_loss=true", *overrides)))


def test_it_is_the_mean_of_the_steps_losses_over_the_images(config):
    """Five images: a batch of four and a batch of one."""
    training = built(config, "data.val.length=5")
    rows, counts = [], []
    for number, batch in enumerate(training.val_loader.batches(epoch=0)):
        fields = ("images", "sizes", "boxes", "labels")
        arrays = [mx.nd.array(getattr(batch, name)) for name in fields]
        seed_step(3, number, mx.cpu())
        with autograd.record(train_mode=False):
            losses = training.train_step(*arrays)
        assert tuple(losses) == PARTS
        rows.append([float(loss.asscalar()) for loss in losses.values()])
        counts.append(len(batch.image_ids))
    assert counts == [4, 1]
    means = np.average(rows, axis=0, weights=counts)
    found = training.val_loss()
    assert list(found) == ["loss", *PARTS]
    np.testing.assert_allclose([found[name] for name in PARTS], means, rtol=1e-6)
    assert found["loss"] == pytest.approx(means.sum(), rel=1e-6)


def test_it_is_the_same_whatever_was_drawn_before(config):
    training = built(config)
    first = training.val_loss()
    mx.random.seed(11)
    mx.nd.random.uniform(shape=(7,)).asnumpy()
    assert training.val_loss() == first


def test_it_changes_neither_weights_nor_statistics(config):
    training = built(config)
    named = training.model._collect_params_with_prefix()
    before = {name: parameter.data().asnumpy() for name, parameter in named.items()}
    assert any(name.endswith("running_var") for name in before)
    training.val_loss()
    mx.nd.waitall()
    for name, array in before.items():
        np.testing.assert_array_equal(named[name].data().asnumpy(), array, name)


def test_a_run_does_not_notice_it(config, reference, tmp_path, capsys):
    assert tiny.train(config, tmp_path, "train.val_loss=true") == 0
    tiny.assert_same_checkpoint(reference / LAST, tmp_path / LAST)
    found = tiny.records(tmp_path, "val_loss")
    assert [(record["epoch"], record["step"]) for record in found] == [(1, 3), (2, 6)]
    for record in found:
        assert record["loss"] == pytest.approx(sum(record[name] for name in PARTS))
    said = capsys.readouterr().out
    for record in found:
        shown = f"validation loss {record['loss']:.4f} rpn_class {record['rpn_class']:.4f}"
        tiny.assert_says(said, f"epoch {record['epoch']:.0f}/2: {shown}")
    assert tiny.records(reference, "val_loss") == []


def test_an_interrupted_run_finds_the_same(config, tmp_path):
    chosen = ("train.val_loss=true",)
    assert tiny.train(config, tmp_path / "whole", *chosen) == 0
    stopped = (*chosen, tiny.hook("SignalAt", step=4))
    assert tiny.train(config, tmp_path / "parts", *stopped) == 143
    assert tiny.train(config, tmp_path / "parts", *chosen, resume="auto", force=True) == 0
    whole, parts = (tiny.records(tmp_path / name, "val_loss") for name in ("whole", "parts"))
    assert whole == parts


def test_a_signal_during_it_leaves_the_evaluation_to_be_made_up(config, tmp_path, monkeypatch):
    genuine = ValidationLoss.__call__

    def stopped(self, interrupt=None):
        os.kill(os.getpid(), signal.SIGTERM)
        return genuine(self, interrupt)

    with monkeypatch.context() as patched:
        patched.setattr(ValidationLoss, "__call__", stopped)
        assert tiny.train(config, tmp_path, "train.val_loss=true") == 143
    assert tiny.records(tmp_path, "evaluate") == tiny.records(tmp_path, "val_loss") == []
    assert tiny.train(config, tmp_path, "train.val_loss=true", resume="auto") == 0
    for kind in ("evaluate", "val_loss"):
        assert [record["step"] for record in tiny.records(tmp_path, kind)] == [3, 6]


def test_it_may_be_switched_on_in_a_resumed_run(config, tmp_path, capsys):
    assert tiny.train(config, tmp_path, "train.epochs=1") == 0
    assert tiny.train(config, tmp_path, "train.val_loss=true", resume="auto") == 0
    tiny.assert_says(capsys.readouterr().out, "changed config: train.val_loss: not set")
    assert [record["step"] for record in tiny.records(tmp_path, "val_loss")] == [6]


def test_its_arrays_are_checked_before_the_first_step(config, monkeypatch):
    """Detections need no masks of the validation images, and the step of a MaskRCNN does."""
    training = built(config)
    training.val_loss.loader.masks = True
    monkeypatch.setattr(training.val_set, "masks", lambda index: None)
    with pytest.raises(DataError, match="Shapes: expected masks"):
        preflight(training)


@pytest.mark.parametrize("value", ["1", "yes"])
def test_it_is_on_or_off(refused, value):
    message = refused("train", "configs/tiny.yaml", "--set", f"train.val_loss={value}")
    tiny.assert_says(message, "train.val_loss: ", "expected bool")
