"""bfloat16: which parts of a graph are in it, and what that does to the results."""

import json

import mxnet as mx
import numpy as np
import pytest

from detkit import processor
from detkit.errors import ExportError
from detkit.export.graph.graph import Graph
from detkit.export.graph.layer_names import name_layers
from detkit.export.precision.bf16 import to_bfloat16
from detkit.export.precision.precisions import BFloat16
from detkit.processor import has_bfloat16
from support.exports import KINDS
from support.graphs import INPUTS, SIZES, assert_near, needs_onednn, traced

pytestmark = [needs_onednn, pytest.mark.processor]


@pytest.mark.skipif(not has_bfloat16(), reason="this CPU has no avx512_bf16")
@pytest.mark.parametrize("kind", ["MaskRCNN", "RetinaNet"])
def test_bfloat16_finds_nearly_the_same(small_model, images, tmp_path, kind):
    model = KINDS[kind](small_model)
    symbol, parameters = to_bfloat16(*traced(model), keep=("first",))
    symbol.save(str(tmp_path / "symbol.json"), remove_amp_cast=False)
    mx.nd.save(str(tmp_path / "parameters"), parameters)
    network = mx.gluon.SymbolBlock(
        mx.sym.load(str(tmp_path / "symbol.json")),
        [mx.sym.var(name, dtype="float32") for name in INPUTS],
    )
    network.collect_params().load(
        str(tmp_path / "parameters"), cast_dtype=True, dtype_source="saved"
    )
    network.hybridize(static_alloc=True)
    for sizes in (*SIZES, *SIZES):
        batch = list(map(mx.nd.array, images(*sizes, seed=9)))
        found, expected = network(*batch), model(*batch)
        assert_near(*([output.asnumpy() for output in each] for each in (found, expected)))
    halved = sum(array.dtype != np.float32 for array in parameters.values())
    assert 0 < halved < len(parameters)


@pytest.mark.skipif(not has_bfloat16(), reason="this CPU has no avx512_bf16")
def test_maxima_of_bfloat16_are_not_taken_as_float32():
    layers = mx.gluon.nn.HybridSequential()
    layers.add(mx.gluon.nn.Conv2D(4, 3, in_channels=3), mx.gluon.nn.MaxPool2D())
    layers.add(mx.gluon.nn.Conv2D(4, 3, in_channels=4), mx.gluon.nn.AvgPool2D())
    layers.initialize()
    graph = Graph(layers(mx.sym.var("images", dtype="float32")))
    name_layers(graph, layers)
    weights = {each.name: each.data() for each in layers.collect_params().values()}
    symbol, _ = to_bfloat16(graph, weights)
    nodes = json.loads(symbol.tojson(remove_amp_cast=False))["nodes"]
    maxima, means = (node for node in nodes if node["op"] == "Pooling")
    assert nodes[maxima["inputs"][0][0]]["op"] == "_sg_mkldnn_conv"
    assert nodes[means["inputs"][0][0]]["op"] == "amp_cast"
    assert [node["op"] for node in nodes].count("amp_cast") == 2


@pytest.mark.parametrize("own", [False, True])
def test_bfloat16_needs_a_cpu_that_has_it(small_model, monkeypatch, tmp_path, own):
    monkeypatch.setattr(processor, "CPU_INFO", str(tmp_path / "absent"))
    model = small_model()
    with pytest.raises(ExportError, match="bfloat16: .*avx512_bf16"):
        BFloat16().convert(model, *traced(model), own)
