"""Checkpoints that cannot be saved are absent, and the earlier ones are unchanged."""

import os
import resource
import shutil
from pathlib import Path

import mxnet as mx
import pytest

from detkit.errors import CheckpointError, TrainingError
from detkit.files import checkpoint
from detkit.files.checkpoint import check_finite, find_checkpoints, mend_checkpoints
from support.checkpoints import assert_holds, network, save, trained


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
    [(mx.nd, "save"), (os, "fsync"), (checkpoint, "sha256_of"), (os, "rename")],
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
