"""Which operators are used on a GPU: detkit's own only where the library has CUDA kernels."""

import logging
from types import SimpleNamespace

import mxnet as mx
import pytest

from detkit.errors import ConfigError
from detkit.ops import backend


@pytest.fixture
def cuda_machine(monkeypatch, tmp_path, built_library):
    """An MXNet for CUDA and an nvcc; the library of this process was compiled without them."""
    monkeypatch.delenv(backend.VARIABLE, raising=False)
    (tmp_path / "nvcc").write_text("#!/bin/sh\n")
    (tmp_path / "nvcc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mx.runtime, "Features", lambda: SimpleNamespace(is_enabled=lambda _: True))


def test_a_library_without_cuda_kernels_is_not_used_on_a_gpu(cuda_machine, built_library, caplog):
    with backend.using("native"), caplog.at_level(logging.WARNING):
        assert backend.choose("auto", on_gpu=True).name == "mxnet"
        assert backend.choose("auto", on_gpu=False).name == "native"
    (record,) = caplog.records
    for part in (built_library, "no CUDA kernels", "nvcc"):
        assert part in record.getMessage()


def test_native_operators_on_a_gpu_are_refused_without_cuda_kernels(cuda_machine):
    with backend.using("native"), pytest.raises(ConfigError, match="a.yaml:3: .*no CUDA kernels"):
        backend.choose("native", where="a.yaml:3: ops", on_gpu=True)


def test_cuda_kernels_are_seen_in_the_file(tmp_path, built_library):
    assert not backend.has_cuda(built_library)
    (tmp_path / "ops.so").write_bytes(b"\x7fELF\0.text\0.nv_fatbin\0.data\0")
    assert backend.has_cuda(tmp_path / "ops.so")
