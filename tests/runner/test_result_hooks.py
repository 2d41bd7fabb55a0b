"""The hooks that evaluate and save: which checkpoints are kept, and which is the best."""

import json

from detkit.checkpoints import load_checkpoint
from support import tiny


def test_the_work_folder_after_a_run(reference):
    assert sorted(path.name for path in reference.iterdir()) == [
        "checkpoints",
        "config.yaml",
        "curves.png",
        "log.jsonl",
        "log.txt",
        "pictures",
        "plugins",
        "result.json",
    ]
    assert tiny.checkpoints(reference) == ["best", "step-00000003", "step-00000006"]


def test_the_log_has_every_evaluation(reference):
    found = tiny.records(reference, "evaluate")
    assert [(record["epoch"], record["step"]) for record in found] == [(1, 3), (2, 6)]
    result = json.loads((reference / "result.json").read_text())
    for name in ("AP", "AP50", "per_class"):
        assert found[-1][name] == result[name]


def test_the_last_checkpoints_and_the_best_are_kept(config, tmp_path):
    scores = "evaluate={type: Scripted, scores: [0.1, 0.9, .nan, 0.2, 0.9]}"
    assert tiny.train(config, tmp_path, scores, "train.epochs=5", "train.keep=2") == 0
    kept = ["best", "step-00000006", "step-00000012", "step-00000015"]
    assert tiny.checkpoints(tmp_path) == kept
    best = load_checkpoint(str(tmp_path / "checkpoints/best"))
    assert best.progress == (6, 2, 0)
    assert best.metrics["AP50"] == best.best == 0.9


def test_the_best_is_remembered_by_a_resumed_run(config, tmp_path):
    scores = "evaluate={{type: Scripted, scores: [{}]}}"
    assert tiny.train(config, tmp_path, scores.format("0.9, 0.1"), "train.keep=1") == 0
    more = (scores.format("0.5"), "train.epochs=3", "train.keep=1")
    assert tiny.train(config, tmp_path, *more, resume="auto", force=True) == 0
    assert tiny.checkpoints(tmp_path) == ["best", "step-00000003", "step-00000009"]


def test_evaluations_may_be_rarer(config, tmp_path):
    assert tiny.train(config, tmp_path, "train.epochs=3", "train.evaluate_every=2") == 0
    assert [record["epoch"] for record in tiny.records(tmp_path, "evaluate")] == [2, 3]
    assert load_checkpoint(str(tmp_path / "checkpoints/best")).progress.epoch > 1


def test_weights_spoilt_by_the_last_update_are_not_saved(config, tmp_path, capsys):
    assert tiny.train(config, tmp_path, tiny.hook("Spoil", step=6, after="true")) == 1
    tiny.assert_says(capsys.readouterr().err, "step 6", "finite", "weights", "train.lr")
    assert tiny.checkpoints(tmp_path) == ["best", "step-00000003"]
    assert tiny.is_finite(tmp_path / "checkpoints/best")
