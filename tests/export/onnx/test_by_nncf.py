"""ONNX models in INT8 by NNCF: the layers of ONNX Runtime's quantizer, and what they find."""

import importlib.util
import sys

import numpy as np
import pytest

import detkit
from detkit.errors import ExportError
from detkit.export.onnx import save, save_int8, save_nncf
from support.exports import detector_of, photos
from support.onnx_runs import ONNX
from support.small import build

NNCF = pytest.mark.skipif(importlib.util.find_spec("nncf") is None, reason="not installed: nncf")
QUANTIZED = {"Conv", "Gemm", "MatMul"}


class Photos:
    """A Dataset's images."""

    def __init__(self, count=4):
        self._images = photos(*[(64, 80), (50, 96), (80, 64), (64, 64)][:count], seed=3)

    def __len__(self):
        return len(self._images)

    def image(self, position):
        return self._images[position]


def layers_of(path):
    """(operator, whether its weights have 8 bits) of each layer, sorted."""
    import onnx

    graph = onnx.load(str(path)).graph
    read = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    layers = [node for node in graph.node if node.op_type in QUANTIZED]
    return sorted((node.op_type, node.input[1] in read) for node in layers)


@ONNX
@NNCF
def test_it_has_the_layers_of_the_other_quantizer_and_finds_nearly_the_same(tmp_path):
    detector = detector_of(build())
    save(detector, tmp_path / "a.onnx")
    save_int8(detector, tmp_path / "b.onnx", Photos(), 4)
    save_nncf(detector, tmp_path / "c.onnx", Photos(), 4)
    layers = layers_of(tmp_path / "b.onnx")
    assert layers_of(tmp_path / "c.onnx") == layers
    assert {eight for _, eight in layers} == {True, False}
    one, _, other = (detkit.load(tmp_path / f"{n}.onnx", runtime="onnxruntime") for n in "abc")
    assert other.manifest == one.manifest
    (photo,) = photos((64, 80), seed=3)
    expected, found = one.detect(photo, score=0), other.detect(photo, score=0)
    assert abs(len(expected) - len(found)) <= 2
    best = (np.sort(each.scores)[-5:] for each in (expected, found))
    assert np.abs(np.subtract(*best)).mean() < 0.03


@ONNX
@NNCF
def test_without_images_or_layers_it_is_refused(tmp_path):
    detector = detector_of(build())
    with pytest.raises(ExportError, match="at least one image"):
        save_nncf(detector, tmp_path / "a.onnx", Photos(0), 4)
    with pytest.raises(ExportError, match="layer"):
        save_nncf(detector, tmp_path / "a.onnx", Photos(), 4, keep=["*"])


@ONNX
def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(ExportError, match=r"pip install 'detkit-gluon\[nncf\]'"):
        save_nncf(detector_of(build()), tmp_path / "a.onnx", Photos(), 4)
