"""Which operators are used, on a CPU and on a GPU, and what is said about it."""

import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import mxnet as mx
import pytest

from detkit import ops
from detkit.errors import ConfigError
from detkit.ops import backend
from detkit.ops import compile as compiling
from support import tiny
from support.environment import REPOSITORY


@pytest.fixture(autouse=True)
def undecided(monkeypatch):
    monkeypatch.delenv(backend.VARIABLE, raising=False)
    monkeypatch.setattr(backend.state, "chosen", None)


@pytest.fixture
def nothing_loaded(monkeypatch):
    """The process as it begins."""
    monkeypatch.setattr(backend, "state", backend.State())


@pytest.fixture
def no_compiler(monkeypatch, tmp_path, nothing_loaded):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(compiling, "PREBUILT", tmp_path / "libdetkit_ops.so")  # there is none


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
    for part in ("C++ compiler", "apt install g++", "DETKIT_OPS=mxnet"):
        assert part in record.message
    assert "\n" not in record.message


def test_native_without_a_compiler_is_an_error(no_compiler):
    with pytest.raises(ConfigError, match=r"a.yaml:3: ops: .*C\+\+ compiler.*apt install"):
        backend.choose("native", where="a.yaml:3: ops")


def test_a_choice_for_a_while_is_undone():
    with backend.using("mxnet"):
        assert not backend.native()
        assert backend.choose("mxnet").name == "mxnet"
    assert backend.state.chosen is None


def test_a_library_that_mxnet_cannot_load_is_named(monkeypatch, tmp_path, nothing_loaded):
    damaged = tmp_path / "libdetkit_ops.so"
    damaged.write_bytes(b"\x7fELF")
    monkeypatch.setattr(backend, "library", lambda: damaged)
    with pytest.raises(ConfigError, match="libdetkit_ops.so.*remove the file"):
        backend.choose("native")


def test_a_library_is_adopted_once_and_changes_no_choice(built_library, nothing_loaded):
    assert backend.adopt(None) is None
    assert backend.state.chosen.name == "mxnet"
    assert backend.adopt(built_library) == built_library
    assert backend.adopt("another.so") == built_library
    assert backend.state.chosen.name == "mxnet"


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
    command = [sys.executable, "tools/train.py", tiny.project(tmp_path), "--dry-run"]
    environment = {**os.environ, "PATH": str(tmp_path), "DETKIT_CACHE": str(tmp_path / "cache")}
    environment["CXX"] = "g++"  # an installed wheel uses its prebuilt library otherwise
    environment.pop(backend.VARIABLE, None)
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "MXNet's own operators" in done.stderr + done.stdout


# --- On a GPU -------------------------------------------------------------------------------------


@pytest.fixture
def cuda_machine(monkeypatch, tmp_path, built_library):
    """An MXNet for CUDA and an nvcc; the library of this process was compiled without them."""
    (tmp_path / "nvcc").write_text("#!/bin/sh\n")
    (tmp_path / "nvcc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mx.runtime, "Features", lambda: SimpleNamespace(is_enabled=lambda _: True))


def test_a_library_without_cuda_kernels_is_not_used_on_a_gpu(cuda_machine, built_library, caplog):
    with backend.using("native"), caplog.at_level(logging.WARNING):
        assert backend.choose("auto", on_gpu=True).name == "mxnet"
        assert backend.choose("auto", on_gpu=False).name == "native"
    (record,) = caplog.records
    for part in (built_library, "CUDA kernels", "nvcc"):
        assert part in record.getMessage()


def test_native_operators_on_a_gpu_are_refused_without_cuda_kernels(cuda_machine, built_library):
    message = f"a.yaml:3: .*{built_library}.*CUDA kernels"
    with backend.using("native"), pytest.raises(ConfigError, match=message):
        backend.choose("native", where="a.yaml:3: ops", on_gpu=True)


def test_cuda_kernels_are_seen_in_the_file(tmp_path, built_library):
    assert not backend.has_cuda(built_library)
    (tmp_path / "ops.so").write_bytes(b"\x7fELF\0.text\0.nv_fatbin\0.data\0")
    assert backend.has_cuda(tmp_path / "ops.so")
