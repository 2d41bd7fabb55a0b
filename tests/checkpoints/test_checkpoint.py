"""Checkpoints: back bit for bit, refused if damaged, and complete or absent if saving fails."""

import json
import os
import random
import resource
import shutil
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from detkit.build.load import load_model_weights
from detkit.checkpoints import (
    Progress,
    Spent,
    check_finite,
    checkpoint,
    find_checkpoints,
    load_checkpoint,
    mend_checkpoints,
)
from detkit.errors import CheckpointError, TrainingError
from detkit.files.disk import sha256_of
from detkit.runner.optimizer import Optimizer
from support.checkpoints import NAMES, arrays_of, assert_holds, network, options, save, trained

FILES = ["SHA256SUMS", "config.yaml", "optimizer.params", "state.json", "weights.params"]


def test_everything_comes_back_bit_for_bit(tmp_path):
    pair = trained()
    save(tmp_path / "step-7", pair)
    assert sorted(os.listdir(tmp_path / "step-7")) == FILES
    assert os.listdir(tmp_path) == ["step-7"]
    loaded = assert_holds(tmp_path / "step-7", pair)
    assert loaded.progress == Progress(7, 2, 1)
    assert loaded.class_names == NAMES
    assert loaded.best == 0.75
    assert loaded.by_class == {"rule": "COCO", "classes": {}}
    assert loaded.stale == 2
    assert loaded.spent == Spent(60.5, 2.25, 0.125)
    np.testing.assert_equal(loaded.metrics["per_class"], {"cat": float("nan"), "dog": 0.5})
    assert (tmp_path / "step-7/config.yaml").read_text() == "seed: 1\n"

    other = network()
    load_model_weights(other, loaded)
    named = other._collect_params_with_prefix()
    for name, array in arrays_of(pair)[0].items():
        np.testing.assert_array_equal(named[name].data().asnumpy(), array)


def test_random_generators_come_back(tmp_path):
    random.seed(3)
    np.random.seed(4)
    np.random.normal()  # leaves a second draw in store
    save(tmp_path / "a", trained())
    expected = random.random(), np.random.normal(), np.random.random()
    random.seed(0)
    np.random.seed(0)
    load_checkpoint(str(tmp_path / "a"))
    assert random.random() != expected[0]
    load_checkpoint(str(tmp_path / "a"), restore_random=True)
    assert (random.random(), np.random.normal(), np.random.random()) == expected


def test_saving_again_replaces(tmp_path):
    save(tmp_path / "a", trained())
    second = trained()
    save(tmp_path / "a", second, progress=Progress(9, 3, 0))
    assert assert_holds(tmp_path / "a", second).progress.step == 9
    assert os.listdir(tmp_path) == ["a"]


def test_before_the_first_update_there_are_no_momenta(tmp_path):
    block = network()
    save(tmp_path / "a", (block, Optimizer(block, options())), metrics=None, best=None)
    loaded = load_checkpoint(str(tmp_path / "a"))
    assert loaded.optimizer == {}
    assert loaded.metrics is None
    assert loaded.best is None


# --- damage --------------------------------------------------------------------------------------


def test_files_that_fit_their_sums_and_make_no_sense_are_refused(tmp_path):
    save(tmp_path / "a", trained())
    state = tmp_path / "a/state.json"
    sums = tmp_path / "a/SHA256SUMS"
    before = sha256_of(state)
    state.write_text(json.dumps({"progress": {"step": 1}}))
    sums.write_text(sums.read_text().replace(before, sha256_of(state)))
    with pytest.raises(CheckpointError, match="a/state.json: .*'class_names'"):
        load_checkpoint(str(tmp_path / "a"))


@pytest.mark.parametrize("number", [None, 1, 2, 3])
def test_checkpoints_have_a_format(tmp_path, number):
    """A checkpoint without a format is read as format 1; a later format is refused."""
    save(tmp_path / "a", trained())
    state, sums = tmp_path / "a/state.json", tmp_path / "a/SHA256SUMS"
    before, content = sha256_of(state), json.loads(state.read_text())
    assert content.pop("format") == 1
    state.write_text(json.dumps({**content, **({"format": number} if number else {})}))
    sums.write_text(sums.read_text().replace(before, sha256_of(state)))
    if number != 3:
        assert load_checkpoint(str(tmp_path / "a")).progress == Progress(7, 2, 1)
        return
    with pytest.raises(CheckpointError, match="a/state.json: format: .*2.*found 3.*later"):
        load_checkpoint(str(tmp_path / "a"))


def test_a_missing_folder_says_where_checkpoints_lie(tmp_path):
    with pytest.raises(CheckpointError, match="absent: .*WORK_DIR/checkpoints"):
        load_checkpoint(str(tmp_path / "absent"))


def test_another_architecture_is_described(tmp_path):
    save(tmp_path / "a", trained())
    other = network(units=6)
    extra = nn.Dense(1, in_units=6)
    extra.initialize()
    other.add(extra)
    before = other[0].weight.data().asnumpy()
    with pytest.raises(CheckpointError) as caught:
        load_model_weights(other, load_checkpoint(str(tmp_path / "a")))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/a: ")
    assert "(8 diff" in message
    assert "2.weight: not in" in message
    assert "0.weight: (5, 4)" in message
    assert "(6, 4)" in message
    assert message.endswith(f"{tmp_path}/a/config.yaml")
    np.testing.assert_array_equal(other[0].weight.data().asnumpy(), before)


# --- saving that fails ---------------------------------------------------------------------------


@pytest.fixture
def file_size_limit():
    """Files cannot grow beyond 64 KiB, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def assert_cannot_be_saved(path, pair, reason):
    with pytest.raises(CheckpointError) as caught:
        save(path, pair)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert reason in message
    assert "earlier checkpoints" in message
    assert "--resume auto" in message


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path, file_size_limit):
    small, large = trained(), trained(units=20000)
    save(tmp_path / "step-1", small)
    for path in (tmp_path / "step-2", tmp_path / "step-1"):
        assert_cannot_be_saved(path, large, "the disk is full")
        assert os.listdir(tmp_path) == ["step-1"]
        assert_holds(tmp_path / "step-1", small)


@pytest.mark.parametrize(
    ("library", "function"),
    [(mx.nd, "save"), (os, "fsync"), (checkpoint, "sums_text"), (os, "rename")],
)
def test_whatever_step_fails_nothing_is_half_there(tmp_path, monkeypatch, library, function):
    pair = trained()
    save(tmp_path / "step-1", pair)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(library, function, full)
    for path in (tmp_path / "step-2", tmp_path / "step-1"):
        assert_cannot_be_saved(path, trained(), "the disk is full")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["step-1"]
    assert_holds(tmp_path / "step-1", pair)


def test_a_rename_that_fails_brings_the_old_one_back(tmp_path, monkeypatch):
    pair = trained()
    save(tmp_path / "step-1", pair)
    genuine = os.rename

    def rename(source, target):
        if source.endswith(".partial-step-1"):
            raise OSError(28, "No space left on device")
        genuine(source, target)

    monkeypatch.setattr(os, "rename", rename)
    assert_cannot_be_saved(tmp_path / "step-1", trained(), "the disk is full")
    assert os.listdir(tmp_path) == ["step-1"]
    assert_holds(tmp_path / "step-1", pair)


def test_no_place_to_write(tmp_path):
    (tmp_path / "file").touch()
    assert_cannot_be_saved(tmp_path / "file/step-1", trained(), "Not a directory")


@pytest.mark.parametrize(
    ("left", "remain"),
    [
        (["step-1", ".partial-step-2"], ["step-1"]),
        (["step-1", ".partial-step-1"], ["step-1"]),
        (["step-1", ".partial-step-1.old"], ["step-1"]),
        ([".partial-step-1", ".partial-step-1.old"], ["step-1"]),
        ([], []),
    ],
)
def test_what_a_killed_process_left_is_tidied(tmp_path, left, remain):
    save(tmp_path / "saved", trained())
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in left:
        shutil.copytree(tmp_path / "saved", folder / name)
    mend_checkpoints(str(folder))
    assert sorted(os.listdir(folder)) == remain
    assert [Path(path).name for path in find_checkpoints(str(folder))] == remain
    mend_checkpoints(str(tmp_path / "absent"))


def test_weights_that_are_not_finite_are_not_saved():
    block = network()
    check_finite(block, 3)
    block[1].running_var.data()[2] = float("nan")
    with pytest.raises(TrainingError) as caught:
        check_finite(block, 3)
    message = str(caught.value)
    for fragment in ("step 3", "1 of 6", "1.running_var", "not saved"):
        assert fragment in message
