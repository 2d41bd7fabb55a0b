"""The cached library: damaged ones are replaced, strangers' refused, and one process compiles."""

import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from detkit.ops.cache import CacheError, cached

CODE = """
import sys, time
from pathlib import Path
from detkit.ops.cache import cached

def slow(folder, path):
    (folder / "part.o").write_text("half")
    print("compiling", flush=True)
    time.sleep(float(sys.argv[2]))
    path.write_text("library")

cached(Path(sys.argv[1]), slow)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ops/key/lib.so"


def writes(text, calls):
    def compile_into(folder, path):
        calls.append(folder)
        path.write_text(text)

    return compile_into


def test_a_complete_library_is_not_compiled_again(path):
    calls = []
    for _ in range(2):
        assert cached(path, writes("library", calls)).read_text() == "library"
    assert len(calls) == 1
    assert not calls[0].exists()


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "no sum"])
def test_a_damaged_library_is_replaced(path, damage, caplog):
    cached(path, writes("library", []))
    if damage == "no sum":
        path.with_name("lib.so.sha256").unlink()
    else:
        path.write_text({"cut": "lib", "changed": "librarY", "empty": ""}[damage])
    calls = []
    with caplog.at_level(logging.WARNING, "detkit"):
        assert cached(path, writes("library", calls)).read_text() == "library"
    assert len(calls) == 1
    assert str(path) in caplog.text
    assert "damaged" in caplog.text


def test_a_folder_that_others_may_write_is_refused(path):
    cached(path, writes("library", []))
    path.parent.chmod(0o777)
    with pytest.raises(CacheError, match="key: .*only you or root.*drwxrwxrwx.*DETKIT_CACHE"):
        cached(path, writes("library", []))


def test_what_a_killed_process_left_is_removed_and_its_lock_is_free(path):
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(path), "60"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "compiling\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(path.parent.glob("compiling-*"))
    cached(path, writes("library", []))
    assert sorted(os.listdir(path.parent)) == ["lib.so", "lib.so.sha256", "lock"]


def test_who_waits_says_for_whom(path, caplog):
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(path), "1"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "compiling\n"
    calls, start = [], time.monotonic()
    with caplog.at_level(logging.INFO, "detkit"):
        assert cached(path, writes("another", calls)).read_text() == "library"
    assert process.wait() == 0
    assert calls == []
    assert time.monotonic() - start < 30
    assert f"waiting for process {process.pid}" in caplog.text
