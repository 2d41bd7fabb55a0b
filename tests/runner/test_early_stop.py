"""Early stopping: a run ends after some evaluations without a better main metric.

The tiny config has three steps in each epoch and an evaluation after each epoch.
"""

import json
import os
import signal

import pytest

from detkit.checkpoints import load_checkpoint
from detkit.detector import Detector
from support import tiny


def scripted(*scores):
    return f"evaluate={{type: Scripted, scores: [{', '.join(map(str, scores))}]}}"


def evaluated(work_dir):
    return [record["step"] for record in tiny.records(work_dir, "evaluate")]


def stale(work_dir):
    """The number of evaluations since the best one, by the newest checkpoint."""
    newest = max(set(tiny.checkpoints(work_dir)) - {"best"})
    return load_checkpoint(str(work_dir / "checkpoints" / newest)).stale


@pytest.mark.parametrize(
    ("scores", "patience", "evaluations"),
    [
        ((0.1, 0.3, 0.2, 0.3, 0.9), 2, 4),  # an equal score is no better one
        ((0.1, 0.3, 0.2, 0.4, 0.3, 0.3, 0.3), 2, 6),  # a better score begins a new count
        ((0.5, ".nan", 0.9), 1, 2),
        ((".nan", ".nan", 0.9), 2, 2),  # there need be no best
        ((0.1, 0.2, 0.3), 1, 3),
    ],
)
def test_a_run_ends_after_its_patience(config, tmp_path, capsys, scores, patience, evaluations):
    chosen = (f"train.epochs={len(scores)}", f"train.patience={patience}")
    assert tiny.train(config, tmp_path, scripted(*scores), *chosen) == 0
    assert evaluated(tmp_path) == [3 * number for number in range(1, evaluations + 1)]
    stopped = tiny.records(tmp_path, "early_stop")
    assert len(stopped) == (evaluations < len(scores))
    if stopped:
        assert stopped[0]["step"] == 3 * evaluations
        assert stopped[0]["stale"] == patience == stale(tmp_path)
        tiny.assert_says(capsys.readouterr().out, f"step {3 * evaluations}: ", "train.patience")
    assert (tmp_path / "result.json").exists()


def test_the_last_evaluation_ends_no_run_early(config, tmp_path, capsys):
    steps = ("train.epochs=null", "train.steps=6", "train.evaluate_every={steps: 3}")
    for name, length in (("epochs", ()), ("steps", steps)):
        run = tmp_path / name
        assert tiny.train(config, run, scripted(0.2, 0.1), *length, "train.patience=1") == 0
        assert tiny.records(run, "early_stop") == []
        assert load_checkpoint(str(run / "checkpoints/step-00000006")).progress == (6, 2, 0)
    assert "patience" not in capsys.readouterr().out


def test_an_ended_run_stays_so_until_it_gets_more_patience(config, tmp_path, capsys):
    chosen = (scripted(0.5, 0.1, 0.2), "train.epochs=5", "train.patience=2")
    assert tiny.train(config, tmp_path, *chosen) == 0
    assert evaluated(tmp_path) == [3, 6, 9]
    assert tiny.train(config, tmp_path, *chosen, resume="auto") == 0
    assert evaluated(tmp_path) == [3, 6, 9]
    more = (scripted(0.1, 0.9), "train.epochs=5", "train.patience=3")
    assert tiny.train(config, tmp_path, *more, resume="auto", force=True) == 0
    assert evaluated(tmp_path) == [3, 6, 9, 12]
    assert stale(tmp_path) == 3


def test_a_larger_patience_needs_no_force(config, tmp_path, capsys):
    assert tiny.train(config, tmp_path, "train.patience=5") == 0
    assert tiny.train(config, tmp_path, "train.patience=7", resume="auto") == 0
    tiny.assert_says(capsys.readouterr().out, "changed config: train.patience: 5", "7 now")


@pytest.mark.parametrize("step", [2, 4, 6, 8])
def test_an_interrupted_run_ends_at_the_same_evaluation(config, tmp_path, step):
    """The scores of a run that is resumed begin with the evaluation that it makes next."""
    scores, chosen = (0.5, 0.1, 0.2, 0.9), ("train.epochs=4", "train.patience=2")
    first = tiny.hook("SignalAt", step=step)
    assert tiny.train(config, tmp_path, scripted(*scores), *chosen, first) == 143
    made = len(evaluated(tmp_path))
    rest = scripted(*scores[made:])
    assert tiny.train(config, tmp_path, rest, *chosen, resume="auto", force=True) == 0
    assert evaluated(tmp_path) == [3, 6, 9]
    assert stale(tmp_path) == 2


def test_an_evaluation_that_was_stopped_does_not_count(config, tmp_path, monkeypatch):
    genuine = Detector.detect_batch

    def stopped(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return genuine(*arguments)

    chosen = ("data.val.length=8", "train.patience=1", "train.epochs=1")
    with monkeypatch.context() as patched:
        patched.setattr(Detector, "detect_batch", stopped)
        assert tiny.train(config, tmp_path, *chosen) == 143
    assert stale(tmp_path) == 0
    assert tiny.train(config, tmp_path, *chosen, resume="auto") == 0
    assert evaluated(tmp_path) == [3]


@pytest.mark.parametrize("value", [0, -1])
def test_a_patience_is_a_number_of_evaluations(refused, value):
    message = refused("train", "configs/tiny.yaml", "--set", f"train.patience={value}")
    tiny.assert_says(message, "train.patience", "at least 1", f"found {value}")


def test_a_checkpoint_of_an_earlier_detkit_counts_from_zero(config, tmp_path):
    assert tiny.train(config, tmp_path, "train.epochs=1") == 0
    checkpoint = tmp_path / "checkpoints/step-00000003"
    state = json.loads((checkpoint / "state.json").read_text())
    del state["stale"]
    tiny.rewrite_state(checkpoint, state)
    assert load_checkpoint(str(checkpoint)).stale == 0
