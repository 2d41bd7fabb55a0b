"""``train.threshold``: each evaluation chooses the score that its checkpoint then holds."""

import json

import pytest

import detkit
from detkit.build import open_config
from detkit.build.training import Training
from detkit.checkpoints import load_checkpoint
from detkit.errors import ConfigError
from support import tiny

LAST = "checkpoints/step-00000006"


def threshold_in(run, step):
    return load_checkpoint(str(run / f"checkpoints/step-{step:08d}")).threshold


def test_each_evaluation_chooses_one_and_a_resumed_run_may_have_another_rule(
    config, reference, tmp_path, capsys
):
    assert tiny.train(config, tmp_path, "train.threshold=f1", "train.keep=9") == 0
    said, result = capsys.readouterr().out, json.loads((tmp_path / "result.json").read_text())
    tiny.assert_same_checkpoint(reference / LAST, tmp_path / LAST)  # training is the same
    first, last = (threshold_in(tmp_path, step) for step in (3, 6))
    assert first.scores != last.scores
    assert result["threshold"] == {**last.to_json(), "in_force": True}
    for epoch, each in ((1, first), (2, last)):
        assert (each.rule, each.split) == ("f1", "val")
        tiny.assert_says(said, f"epoch {epoch}/2: threshold: {each}")
    tiny.assert_says(said, f"precision, recall and F1 at {last}")
    assert detkit.load(tmp_path).threshold == first  # that of the best checkpoint
    assert threshold_in(reference, 6) is None

    more = ("train.threshold=precision=0.95", "train.epochs=3", "train.keep=9")
    assert tiny.train(config, tmp_path, *more, resume="auto") == 0
    said = capsys.readouterr().out
    tiny.assert_says(said, "epoch 3/3: threshold precision=0.95: expected a precision of at least")
    assert threshold_in(tmp_path, 9) is None
    assert threshold_in(tmp_path, 6) == last


def test_a_rule_that_is_none_is_named_before_the_training(config):
    with pytest.raises(ConfigError) as caught:
        Training(open_config(config, ["train.threshold=precision=95"]))
    tiny.assert_says(str(caught.value), "train", "threshold: expected f1", "'precision=95'")
