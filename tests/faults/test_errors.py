"""A run that ends by an error or by the loss of its terminal saves the steps it has made."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from detkit.data.loader import Loader
from detkit.errors import DataError, TrainingError
from detkit.files.disk import whole_file
from detkit.runner.optimizer import Optimizer
from support import tiny

LAST = "checkpoints/step-00000006"


def failing_from(error, after):
    """A replacement of Loader.batches that raises ``error`` after some batches of each epoch."""
    genuine = Loader.batches

    def batches(loader, epoch, start=0):
        for batch in genuine(loader, epoch, start):
            if loader.shuffle and epoch == 1 and batch.number == after:
                raise error
            yield batch

    return batches


@pytest.mark.parametrize("error", [DataError("14 images are gone"), MemoryError()], ids=repr)
def test_an_error_saves_the_last_good_step(config, reference, tmp_path, capsys, monkeypatch, error):
    with monkeypatch.context() as patched:
        patched.setattr(Loader, "batches", failing_from(error, after=2))
        if isinstance(error, DataError):
            assert tiny.train(config, tmp_path) == 1
            assert "14 images are gone" in capsys.readouterr().err
        else:
            with pytest.raises(MemoryError):
                tiny.train(config, tmp_path)
    assert "step-00000005" in tiny.checkpoints(tmp_path)
    assert tiny.train(config, tmp_path, resume="auto") == 0
    assert "step-00000005, step 5" in capsys.readouterr().out
    tiny.assert_same_checkpoint(reference / LAST, tmp_path / LAST)


def test_an_error_during_the_update_saves_nothing(config, tmp_path, monkeypatch):
    """The weights are then between two steps."""
    genuine = Optimizer.step

    def step(optimizer, number, lr, last=False):
        genuine(optimizer, number, lr, last)
        if number == 5:
            raise MemoryError

    monkeypatch.setattr(Optimizer, "step", step)
    with pytest.raises(MemoryError):
        tiny.train(config, tmp_path)
    assert tiny.checkpoints(tmp_path) == ["best", "step-00000003"]


def test_a_spoilt_loss_saves_nothing(config, tmp_path, monkeypatch):
    monkeypatch.setattr(Loader, "batches", failing_from(TrainingError("spoilt"), after=2))
    assert tiny.train(config, tmp_path) == 1
    assert tiny.checkpoints(tmp_path) == ["best", "step-00000003"]


def test_an_error_on_a_full_disk_is_still_the_one_that_is_told(
    config, tmp_path, capsys, monkeypatch
):
    def full(*_):
        raise OSError(28, "No space left on device")

    genuine = failing_from(DataError("14 images are gone"), after=2)

    def batches(loader, epoch, start=0):
        try:
            yield from genuine(loader, epoch, start)
        except DataError:
            monkeypatch.setattr(os, "fsync", full)
            raise

    monkeypatch.setattr(Loader, "batches", batches)
    assert tiny.train(config, tmp_path) == 1
    said = capsys.readouterr()
    assert said.err.endswith("error: 14 images are gone\n")
    tiny.assert_says(said.out, "step 5", "cannot be saved")
    assert tiny.checkpoints(tmp_path) == ["best", "step-00000003"]


# --- the terminal ---------------------------------------------------------------------------------


def test_a_closed_terminal_saves(config, reference, tmp_path, capsys):
    before = signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        closed = tiny.hook("SignalAt", step=2, name="SIGHUP")
        assert tiny.train(config, tmp_path, closed) == 129
        tiny.assert_says(capsys.readouterr().err, "SIGHUP", "saved", "--resume auto")
        assert tiny.train(config, tmp_path, resume="auto", force=True) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    tiny.assert_same_checkpoint(reference / LAST, tmp_path / LAST)


def test_nohup_is_obeyed(config, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        closed = tiny.hook("SignalAt", step=2, name="SIGHUP")
        assert tiny.train(config, tmp_path, closed, "train.epochs=1") == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_output_that_nobody_reads_does_not_end_a_training(config, reference, tmp_path, monkeypatch):
    def closed(*_, **__):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("tqdm.tqdm.write", closed)
    assert tiny.train(config, tmp_path) == 0
    assert len(tiny.records(tmp_path, "output_closed")) == 1
    tiny.assert_same_checkpoint(reference / LAST, tmp_path / LAST)


def test_a_pipe_that_is_closed_during_a_training_does_not_end_it(config, tmp_path):
    command = [sys.executable, tiny.ROOT / "tools/train.py", config, "--work-dir", tmp_path]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(list(map(str, command)), **pipes) as process:
        assert any(line.startswith("epoch ") for line in process.stdout)
        process.stdout.close()
        said = process.stderr.read()
    assert "Traceback" not in said
    assert process.returncode in (0, 120)  # 120 is Python's, for lines that it could not write
    assert (tmp_path / "result.json").is_file()


# --- the loss of power ----------------------------------------------------------------------------


class Disk:
    """A record of what was written through to the disk, and of renames, in their order."""

    def __init__(self, monkeypatch):
        self.events = []
        fsync, replace, rename = os.fsync, os.replace, os.rename

        def synced(descriptor):
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
            self.events.append((kind, path))
            fsync(descriptor)

        def moved(genuine):
            def move(source, target):
                genuine(source, target)
                self.events.append(("moved", str(target)))

            return move

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(os, "replace", moved(replace))
        monkeypatch.setattr(os, "rename", moved(rename))

    def after(self, event):
        return self.events[self.events.index(event) + 1 :]

    def before(self, event):
        return self.events[: self.events.index(event)]


def test_names_are_on_the_disk_before_anything_relies_on_them(config, tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    assert tiny.train(config, tmp_path, "train.epochs=1") == 0
    folder = tmp_path / "checkpoints"
    saved = ("moved", str(folder / "step-00000003"))
    partial = folder / ".partial-step-00000003"
    for name in ("weights.params", "optimizer.params", "state.json", "SHA256SUMS"):
        assert ("file", str(partial / name)) in disk.before(saved)
    assert ("folder", str(partial)) in disk.before(saved)
    assert ("file", str(tmp_path / "log.jsonl")) in disk.before(saved)
    for name in ("step-00000003", "last", "best"):
        assert ("folder", str(folder)) in disk.after(("moved", str(folder / name)))
    for name in ("result.json", "config.yaml"):
        assert ("folder", str(tmp_path)) in disk.after(("moved", str(tmp_path / name)))


def test_a_whole_file_is_on_the_disk_before_its_name(tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    path = Path(tmp_path, "a.json")
    with whole_file(path) as part:
        part.write_text("x")
    moved = ("moved", str(path))
    assert disk.events == [("file", str(part)), moved, ("folder", str(tmp_path))]
    assert path.read_text() == "x"
