"""Which operators are in use, and what is said about it."""

import logging
import os
import subprocess
import sys

import mxnet as mx
import pytest

from detkit import ops
from detkit.errors import ConfigError
from detkit.ops import backend
from support.environment import REPOSITORY


@pytest.fixture(autouse=True)
def undecided(monkeypatch):
    monkeypatch.delenv(backend.VARIABLE, raising=False)
    monkeypatch.setattr(backend, "_chosen", None)


@pytest.fixture
def no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(backend, "_loaded", None)


def test_an_unknown_name_is_refused():
    with pytest.raises(
        ConfigError, match="a.yaml:3: ops: expected native, mxnet or auto, found 'fast'"
    ):
        backend.choose("fast", where="a.yaml:3: ops")


def test_the_environment_overrides_the_config(monkeypatch):
    monkeypatch.setenv(backend.VARIABLE, "mxnet")
    assert backend.choose("native").name == "mxnet"
    monkeypatch.setenv(backend.VARIABLE, "wrong")
    with pytest.raises(ConfigError, match="environment variable DETKIT_OPS: .* 'wrong'"):
        backend.choose("native")


def test_auto_without_a_compiler_warns_once_and_uses_mxnets(no_compiler, caplog):
    with caplog.at_level(logging.WARNING):
        assert backend.choose("auto").name == "mxnet"
        assert backend.choose("auto").name == "mxnet"
    (record,) = caplog.records
    assert "no C++ compiler" in record.message
    assert "apt install g++" in record.message
    assert "DETKIT_OPS=mxnet silences this" in record.message
    assert "\n" not in record.message


def test_native_without_a_compiler_is_an_error(no_compiler):
    with pytest.raises(ConfigError, match=r"a.yaml:3: ops: .* there is no C\+\+ compiler"):
        backend.choose("native", where="a.yaml:3: ops")


def test_a_choice_for_a_while_is_undone():
    with backend.using("mxnet"):
        assert not backend.native()
        assert backend.choose("mxnet").name == "mxnet"
    assert backend._chosen is None


def test_a_library_that_mxnet_cannot_load_is_named(monkeypatch, tmp_path):
    damaged = tmp_path / "libdetkit_ops.so"
    damaged.write_bytes(b"\x7fELF")
    monkeypatch.setattr(backend, "library", lambda: damaged)
    monkeypatch.setattr(backend, "_loaded", None)
    with pytest.raises(ConfigError, match="cannot load .*libdetkit_ops.so.*remove the file"):
        backend.choose("native")


def test_native_operators_are_used_where_there_is_a_compiler(built_library):
    choice = backend.choose()
    assert choice == ("native", str(built_library))
    symbol = ops.nms(mx.sym, mx.sym.var("boxes"), mx.sym.var("scores"), 0.5)[0]
    assert "detkit_nms" in symbol.tojson()
    with backend.using("mxnet"):
        symbol = ops.nms(mx.sym, mx.sym.var("boxes"), mx.sym.var("scores"), 0.5)[0]
    assert "detkit_nms" not in symbol.tojson()


@pytest.mark.slow
def test_the_whole_detector_runs_without_a_compiler(tmp_path):
    """In a process whose PATH has no compiler: a dry run of training, and the warning it prints."""
    config = ("configs/faster_rcnn_mobilenet_v2.yaml", "--set", "model.backbone.pretrained=null")
    command = [sys.executable, "tools/train.py", *config, "--dry-run"]
    environment = {**os.environ, "PATH": str(tmp_path), "DETKIT_CACHE": str(tmp_path / "cache")}
    environment.pop("CXX", None)
    environment.pop(backend.VARIABLE, None)
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "using MXNet's own operators" in done.stderr + done.stdout
