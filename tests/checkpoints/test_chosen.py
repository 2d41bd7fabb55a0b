"""The threshold of a checkpoint: it is written later, and no moment leaves a damaged folder."""

import json
import os

import pytest

from detkit.checkpoints import load_checkpoint, write_threshold
from detkit.checkpoints.sums import read_sums, sums_text, verify
from detkit.errors import CheckpointError
from detkit.files.disk import sha256_of
from detkit.threshold import Threshold
from support.checkpoints import assert_holds, save, trained

ONE, EACH = Threshold((0.25,), "f1", "val"), Threshold((0.5, 0.125), "recall=0.9", "test")


@pytest.fixture
def saved(tmp_path):
    pair = trained()
    save(tmp_path / "a", pair)
    return str(tmp_path / "a"), pair


def test_it_is_written_into_a_checkpoint_and_read(saved):
    path, pair = saved
    before = {name: sha256_of(os.path.join(path, name)) for name in read_sums(path)}
    assert load_checkpoint(path).threshold is None
    for threshold in (ONE, EACH, ONE):
        write_threshold(path, threshold)
        assert load_checkpoint(path).threshold == threshold
    assert_holds(path, pair)
    sums = read_sums(path)
    assert sums.pop("threshold.json") == sha256_of(os.path.join(path, "threshold.json"))
    assert sums == before


def test_a_training_saves_it_with_the_rest(tmp_path):
    save(tmp_path / "a", trained(), threshold=EACH)
    assert load_checkpoint(str(tmp_path / "a")).threshold == EACH


class Killed(Exception):
    """The end of a process."""


@pytest.mark.parametrize("moment", range(4))
@pytest.mark.parametrize("before", [None, EACH])
def test_a_process_that_is_killed_leaves_a_whole_checkpoint(saved, monkeypatch, moment, before):
    """Before each of the three renames, and after the last."""
    path, pair = saved
    if before:
        write_threshold(path, before)
    genuine, calls = os.replace, iter(range(10))

    def replace(*args):
        if next(calls) == moment:
            raise Killed
        genuine(*args)

    monkeypatch.setattr(os, "replace", replace)
    if moment < 3:
        with pytest.raises(Killed):
            write_threshold(path, ONE)
    else:
        write_threshold(path, ONE)
    assert load_checkpoint(path).threshold == {0: before, 3: ONE}.get(moment)
    assert_holds(path, pair)
    monkeypatch.undo()
    write_threshold(path, ONE)
    assert load_checkpoint(path).threshold == ONE


def test_a_full_disk_is_said_and_leaves_a_whole_checkpoint(saved, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    path, _ = saved
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(CheckpointError, match=r"threshold cannot be written.*No space left"):
        write_threshold(path, ONE)
    verify(path)


def test_a_damaged_checkpoint_gets_none(saved):
    path, _ = saved
    with open(os.path.join(path, "config.yaml"), "a") as file:
        file.write("x")
    with pytest.raises(CheckpointError, match=r"config.yaml: expected the file with the sha256"):
        write_threshold(path, ONE)
    assert not os.path.exists(os.path.join(path, "threshold.json"))


@pytest.mark.parametrize("change", ["cut", "remove"])
def test_damage_of_it_is_named(saved, change):
    path, _ = saved
    write_threshold(path, ONE)
    file = os.path.join(path, "threshold.json")
    if change == "cut":
        os.truncate(file, 10)
    else:
        os.unlink(file)
    with pytest.raises(CheckpointError, match=r"threshold.json: expected the file with the sha256"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        "\xff",
        json.dumps(Threshold((0.1, 0.2, 0.3), "f1", "val").to_json()),
        '{"scores": [NaN], "rule": "f1", "split": "val"}',
        '{"scores": [1e999], "rule": "f1", "split": "val"}',
        '{"scores": [true], "rule": "f1", "split": "val"}',
        '{"scores": [0.5], "rule": "f1"}',
    ],
)
def test_a_hostile_file_with_the_right_sum_is_refused(saved, text):
    path, _ = saved
    with open(os.path.join(path, "threshold.json"), "w", encoding="latin-1") as file:
        file.write(text)
    with open(os.path.join(path, "SHA256SUMS"), "a") as sums:
        sums.write(sums_text(path, ["threshold.json"]))
    with pytest.raises(CheckpointError, match=r"threshold.json: expected"):
        load_checkpoint(path)
