"""Averages of the weights in other runs: with frozen parts, in stages, in the exact regime."""

import numpy as np
import pytest

from detkit.checkpoints import load_checkpoint
from support import tiny

EMA = "train.ema=0.7"
LAST = "checkpoints/step-00000006"
EXACT = ("regime=exact", "model.roi_extractor={type: PrRoIPool, size: 3}")


def weights_of(checkpoint):
    return {n: a.asnumpy() for n, a in load_checkpoint(str(checkpoint)).weights.items()}


def trained_of(checkpoint):
    optimizer = load_checkpoint(str(checkpoint)).optimizer
    prefix = "trained/"
    found = {n[len(prefix) :]: a for n, a in optimizer.items() if n.startswith(prefix)}
    return {name: array.asnumpy() for name, array in found.items()}


def assert_equal(one, other):
    assert one
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], name)


@pytest.mark.parametrize(
    "chosen",
    [
        ("train.freeze={backbone: {steps: 4}}",),
        ("train.freeze=[backbone]", "train.accumulate=2"),
        (*EXACT, "train.val_loss=true"),
        ("train.patience=1", "train.optimizer={type: Adam}"),
        ("train.precision=auto", "train.clip_norm=1"),
    ],
    ids=["released", "frozen", "exact", "patience", "precision"],
)
def test_the_training_is_the_one_without_averages_and_goes_on(config, tmp_path, chosen):
    plain, whole, parts = (tmp_path / name for name in ("plain", "whole", "parts"))
    assert tiny.train(config, plain, *chosen) == 0
    assert tiny.train(config, whole, *chosen, EMA) == 0
    last = f"checkpoints/{max(set(tiny.checkpoints(plain)) - {'best'})}"
    assert_equal(trained_of(whole / last), weights_of(plain / last))
    stopped = tiny.hook("SignalAt", step=2)
    assert tiny.train(config, parts, *chosen, EMA, stopped) == 143
    assert tiny.train(config, parts, *chosen, EMA, resume="auto", force=True) == 0
    tiny.assert_same_checkpoint(whole / last, parts / last)


def test_the_average_of_a_frozen_part_is_the_part(config, tmp_path):
    assert tiny.train(config, tmp_path, EMA, "train.freeze={backbone: {epochs: 1}}") == 0
    first, last = tmp_path / "checkpoints/step-00000003", tmp_path / LAST
    for folder, frozen in ((first, True), (last, False)):
        averages, trained = weights_of(folder), trained_of(folder)
        same = [np.array_equal(averages[n], a) for n, a in trained.items() if "backbone" in n]
        assert all(same) == frozen


def test_stages_begin_and_are_joined_with_the_averages(config, tmp_path):
    chosen = ("regime=alternating", "train.epochs=1", EMA)
    assert tiny.train(config, tmp_path, *chosen) == 0
    ends = {n: next((tmp_path / "stages").glob(f"{n}-*/checkpoints/step-*")) for n in (2, 3, 4)}
    joined = weights_of(tmp_path / "checkpoints/step-00000012")
    for part, number in (("backbone", 2), ("rpn_head", 3), ("roi_head", 4)):
        own = {n: a for n, a in weights_of(ends[number]).items() if n.startswith(part)}
        assert_equal(own, joined)
    assert (trained_of(ends[4])["roi_head.fc.0.weight"] != joined["roi_head.fc.0.weight"]).any()
