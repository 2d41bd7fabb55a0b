"""One training at a time in a folder; a process that was killed leaves no obstacle."""

import fcntl
import os
import signal
import socket
import subprocess
import sys

import pytest

from detkit.errors import DetkitError
from detkit.files.lock import LOCK, locked
from support import tiny

HOLD = "import sys, time; from detkit.files.lock import locked\n"
HOLD += "with locked(sys.argv[1]): print('held', flush=True); time.sleep(100)"


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of ``tmp_path``/work."""
    (tmp_path / "work").mkdir()
    command = [sys.executable, "-c", HOLD, str(tmp_path / "work")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tiny.ROOT)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_training_names_the_first(config, tmp_path, holder, capsys):
    work = tmp_path / "work"
    assert tiny.train(config, work) == 1
    said = capsys.readouterr().err
    tiny.assert_says(said, f"{work}: ", f"process {holder.pid}", socket.gethostname(), "--work-dir")
    assert sorted(os.listdir(work)) == [LOCK]


def test_a_lock_of_a_killed_process_is_no_obstacle(config, tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "work" / LOCK).exists()
    assert tiny.train(config, tmp_path / "work", "train.epochs=1") == 0
    assert not (tmp_path / "work" / LOCK).exists()


def test_the_lock_is_free_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(str(tmp_path)):
        raise ZeroDivisionError
    with locked(str(tmp_path)):
        assert os.listdir(tmp_path) == [LOCK]
        with pytest.raises(DetkitError, match=f"process {os.getpid()}"), locked(str(tmp_path)):
            pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", ["", "no JSON", "[" * 5000, "[1]", "\xff"])
def test_a_lock_file_of_any_content(tmp_path, content):
    with locked(str(tmp_path)):
        (tmp_path / LOCK).write_text(content, encoding="latin-1")
        with pytest.raises(DetkitError, match="process .unknown."), locked(str(tmp_path)):
            pass
    (tmp_path / LOCK).write_text(content, encoding="latin-1")
    with locked(str(tmp_path)):
        pass


def test_a_file_system_without_locks_gets_a_warning(tmp_path, monkeypatch, caplog):
    def fails(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fails)
    with locked(str(tmp_path)):
        pass
    (said,) = caplog.messages
    tiny.assert_says(said, f"{tmp_path}/{LOCK}: ", "No locks available", "no other training")


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_lock_that_is_no_file(tmp_path, kind):
    if kind == "folder":
        (tmp_path / LOCK).mkdir()
    else:
        (tmp_path / "precious").write_text("precious")
        (tmp_path / LOCK).symlink_to(tmp_path / "precious")
    with pytest.raises(DetkitError, match=f"{LOCK}: "), locked(str(tmp_path)):
        pass
    assert kind == "folder" or (tmp_path / "precious").read_text() == "precious"
