"""Folders that can be written to, caches, files that are complete or absent, and checksums."""

import hashlib
from pathlib import Path

import pytest

from detkit.errors import DataError, DetkitError
from detkit.files.disk import CHUNK, cache_folder, make_folder, sha256_of, whole_file


def test_a_folder_is_made_with_its_parents(tmp_path):
    for _ in range(2):
        make_folder(tmp_path / "a/b")
    assert list((tmp_path / "a/b").iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(DetkitError, match=f"{tmp_path}/a: .*found a file"):
        make_folder(tmp_path / "a")


def test_the_variable_moves_every_cache(monkeypatch):
    monkeypatch.setenv("DETKIT_CACHE", "/cache")
    assert cache_folder("ops") == Path("/cache/ops")
    monkeypatch.delenv("DETKIT_CACHE")
    assert cache_folder("ops") == Path("~/.cache/detkit/ops").expanduser()


def test_a_file_is_complete_or_absent(tmp_path):
    path = tmp_path / "results.json"
    with pytest.raises(ZeroDivisionError), whole_file(path) as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with whole_file(path) as part:
        part.write_text("whole")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["whole"]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "absent/results.json"
    with pytest.raises(DataError, match=f"{path}: .*No such file"), whole_file(path) as part:
        part.write_text("x")


def test_a_sum_is_that_of_all_chunks(tmp_path):
    data = b"ab" * CHUNK + b"c"
    (tmp_path / "a").write_bytes(data)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()
