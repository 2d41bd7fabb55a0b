"""What made a run stands in its log and in its checkpoints."""

import json
import shutil

import pytest

from detkit.checkpoints import load_checkpoint
from support import tiny

LAST = "checkpoints/step-00000006"


def first_record(work_dir):
    return json.loads((work_dir / "log.jsonl").read_text().splitlines()[0])


def environment(checkpoint):
    return load_checkpoint(str(checkpoint)).environment


def test_it_is_the_first_record_and_in_each_checkpoint(reference):
    (record,) = tiny.records(reference, "environment")
    assert record == first_record(reference)
    made = {key: text for key, text in record.items() if key != "kind"}
    assert made == environment(reference / LAST) == environment(tiny.best(reference))
    assert {"python", "mxnet", "operators", "threads", "data.train", "data.val"} <= made.keys()
    assert made["data.train"] != made["data.val"]


def test_an_unchanged_environment_is_written_once(config, reference, tmp_path, capsys):
    run = shutil.copytree(reference, tmp_path / "run")
    assert tiny.train(config, run, "train.epochs=3", resume="auto") == 0
    assert "changed environment" not in capsys.readouterr().out
    assert len(tiny.records(run, "environment")) == 1


def test_a_changed_environment_is_a_record_and_a_line(
    config, reference, tmp_path, capsys, monkeypatch
):
    run = shutil.copytree(reference, tmp_path / "run")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert tiny.train(config, run, "train.epochs=3", resume="auto") == 0
    before, after = tiny.records(run, "environment")
    line = f"changed environment: threads {before['threads']} -> 7"
    assert line in capsys.readouterr().out.splitlines()
    assert after == {**before, "threads": "7"}
    assert environment(run / "checkpoints/step-00000009")["threads"] == "7"


def test_other_annotations_are_a_change(config, reference, tmp_path, capsys):
    run = shutil.copytree(reference, tmp_path / "run")
    assert tiny.train(config, run, "data.val.seed=9", resume="auto", force=True) == 0
    assert "changed environment: data.val " in capsys.readouterr().out


def test_a_run_that_is_resumed_elsewhere_begins_its_log_with_it(config, reference, tmp_path):
    assert tiny.train(config, tmp_path / "new", resume=reference / LAST) == 0
    assert first_record(tmp_path / "new") == first_record(reference)


def test_a_checkpoint_of_an_earlier_detkit_has_none(config, reference, tmp_path, capsys):
    run = shutil.copytree(reference, tmp_path / "run")
    state = json.loads((run / LAST / "state.json").read_text())
    state.pop("environment")
    tiny.rewrite_state(run / LAST, state)
    assert tiny.train(config, run, resume="auto") == 0
    assert "changed environment" not in capsys.readouterr().out
    assert len(tiny.records(run, "environment")) == 2


@pytest.mark.parametrize("value", ["x", 3, {"threads": 3}, ["a"]])
def test_an_environment_that_makes_no_sense_is_refused(reference, tmp_path, value, capsys):
    shutil.copytree(reference / LAST, tmp_path / "made")
    state = json.loads((tmp_path / "made/state.json").read_text())
    tiny.rewrite_state(tmp_path / "made", {**state, "environment": value})
    message = tiny.refused(capsys, "test", reference / "config.yaml", tmp_path / "made")
    tiny.assert_says(message, "state.json: environment: expected texts by name, or null")
