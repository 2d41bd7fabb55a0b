"""The environment of a run: git's state of the project, and what has changed between two."""

import os
import shutil
import subprocess
import time

import mxnet as mx
import numpy as np
import pytest

import detkit
from detkit import environment, processor
from detkit.environment import changes, environment_of, git_state, version_of
from detkit.files.disk import sha256_of
from support.environment import OPERATORS


def test_what_a_run_is_made_by(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = environment_of(str(tmp_path), mx.cpu())
    assert list(found)[:5] == ["python", "detkit", "mxnet", "numpy", "opencv"]
    expected = {
        "detkit": detkit.__version__,
        "mxnet": mx.__version__,
        "numpy": np.__version__,
        "instructions": processor.level().name,
        "threads": "3",
        "device": "cpu(0)",
    }
    assert expected.items() <= found.items()
    assert all(isinstance(text, str) for text in found.values())
    assert "git" not in found  # the folder is in no repository


def test_the_operators_are_named_with_their_sum(built_library):
    assert environment.operators() == f"native {sha256_of(built_library)[:12]}"
    assert OPERATORS.name == "native"


def test_changes_are_one_line():
    old = {"python": "3.8.1", "threads": "2", "git": "0123"}
    new = {"python": "3.8.1", "threads": "4", "plugins": "lab 1.2"}
    line = "threads 2 -> 4, git 0123 -> not known, plugins not known -> lab 1.2"
    assert changes(old, new) == line
    assert changes(old, dict(old)) == ""


def test_a_module_that_is_missing_is_said():
    assert version_of("no_such_module_at_all").startswith("cannot be imported: ")


# --- git ------------------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with a commit of one file, and a function that calls git in it."""
    if shutil.which("git") is None:
        pytest.skip("no git")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@b.c")

    def git(*words):
        command = ["git", "-C", tmp_path, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "--no-gpg-sign", "-m", "one")
    git("tag", "v1")
    return tmp_path, git


def test_the_commit_and_whether_files_have_changed(repository):
    folder, git = repository
    commit = git("rev-parse", "HEAD")
    assert git_state(str(folder)) == commit
    (folder / "runs").mkdir()
    (folder / "runs/new").write_text("a file that git does not track")
    assert git_state(str(folder / "runs")) == commit
    (folder / "file").write_text("2")
    assert git_state(str(folder)) == f"{commit}-dirty"


def test_gits_own_variables_do_not_lead_elsewhere(repository, tmp_path_factory, monkeypatch):
    folder, git = repository
    commit = git("rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(tmp_path_factory.mktemp("elsewhere")))
    assert git_state(str(folder)) == commit


def test_without_a_repository_or_git_nothing_is_said(tmp_path, monkeypatch):
    assert git_state(str(tmp_path)) is None
    assert git_state(str(tmp_path / "absent")) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("script", "seconds"), [("sleep 60", 0.2), ("echo nonsense", 5), ("exit 1", 5)]
)
def test_a_git_that_hangs_or_fails_ends_nothing(tmp_path, monkeypatch, script, seconds):
    fake = tmp_path / "git"
    fake.write_text(f"#!/bin/sh\nexec {script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(environment, "LONGEST", seconds)
    start = time.monotonic()
    assert git_state(str(tmp_path)) is None
    assert time.monotonic() - start < 30
