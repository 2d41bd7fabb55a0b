"""Where an exported detector runs, on a machine that has a GPU. The GPU is pretended."""

import logging

import mxnet as mx
import pytest

import detkit
from detkit.errors import ExportError
from detkit.export.runtimes import by_mxnet as module
from detkit.ops import backend
from support.exports import SIZES, exported, photos, rewrite

pytestmark = pytest.mark.usefixtures("built_library")
LOGGER = module.__name__


@pytest.fixture(autouse=True)
def one_gpu(monkeypatch):
    """MXNet counts a GPU, which it then cannot use."""
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 1)


@pytest.fixture
def folder(small_model, tmp_path):
    """A folder with detkit's operators, which were compiled without CUDA."""
    exported(small_model(), tmp_path / "exported", "native")
    return tmp_path / "exported"


@pytest.fixture
def contexts(monkeypatch):
    """The contexts for which networks were asked; none is made."""
    asked = []
    monkeypatch.setattr(module, "load_network", lambda *given: asked.append(given[2]))
    return asked


def test_auto_takes_the_cpu_where_the_operators_have_no_cuda_kernels(folder, caplog):
    with caplog.at_level(logging.WARNING, LOGGER):
        loaded = detkit.load_exported(folder)
    (record,) = caplog.records
    for part in (str(folder), "CPU", "GPU", "CUDA kernels"):
        assert part in record.getMessage()
    assert "\n" not in record.getMessage()
    assert len(loaded.detect(photos(*SIZES))) == 2


def test_gpu_is_refused_where_the_operators_have_no_cuda_kernels(folder):
    with pytest.raises(ExportError) as caught:
        detkit.load_exported(folder, device="gpu")
    for part in (str(folder), "'gpu'", "CUDA kernels", "'cpu'", "--ops mxnet", "nvcc"):
        assert part in str(caught.value)


def test_layers_of_fewer_bits_are_for_the_cpu(small_model, tmp_path, caplog):
    exported(small_model(), tmp_path, "mxnet")
    rewrite(tmp_path, precision="int8", int8_for="any")
    with caplog.at_level(logging.WARNING, LOGGER):
        detkit.load_exported(tmp_path)
    (record,) = caplog.records
    assert "int8" in record.getMessage()
    with pytest.raises(ExportError, match="'cpu'.*int8"):
        detkit.load_exported(tmp_path, device="gpu")


@pytest.mark.parametrize("device", ["auto", "gpu"])
def test_a_gpu_is_taken_where_it_can_be(small_model, tmp_path, contexts, caplog, device):
    exported(small_model(), tmp_path, "mxnet")
    with caplog.at_level(logging.WARNING, LOGGER):
        detkit.load_exported(tmp_path, device)
    assert contexts == [mx.gpu(0)]
    assert caplog.records == []


def test_operators_with_cuda_kernels_run_on_a_gpu(folder, contexts, monkeypatch):
    monkeypatch.setattr(backend, "has_cuda", lambda path: True)
    detkit.load_exported(folder)
    assert contexts == [mx.gpu(0)]


def test_the_cpu_is_taken_without_a_word_where_it_is_asked_for(folder, caplog):
    with caplog.at_level(logging.WARNING, LOGGER):
        detkit.load_exported(folder, device="cpu")
    assert caplog.records == []
