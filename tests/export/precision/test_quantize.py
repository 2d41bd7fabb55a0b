"""INT8: which layers calculate with 8-bit numbers, and what that does to the results."""

import mxnet as mx
import numpy as np
import pytest

from detkit.errors import ExportError
from detkit.export.graph.fusion import FUSED, layer_of
from detkit.export.graph.graph import Graph
from detkit.export.manifest import ANY, VNNI
from detkit.export.precision.calibrate import runner
from detkit.export.precision.quantize import quantize
from detkit.models.layers import relu6
from detkit.processor import has_vnni
from support.exports import KINDS
from support.graphs import (
    INPUTS,
    KEPT,
    SIZES,
    Block,
    assert_near,
    needs_onednn,
    small_graph,
    traced,
)

pytestmark = [needs_onednn, pytest.mark.processor]
CPUS = [
    ANY,
    pytest.param(VNNI, marks=pytest.mark.skipif(not has_vnni(), reason="this CPU has no VNNI")),
]


def quantized(model, images, count=3, **options):
    examples = (images((64, 80), seed=seed) for seed in range(count))
    return quantize(*traced(model), INPUTS, examples, **options)


def precisions(symbol):
    """{layer: whether it is INT8} of a fused symbol."""
    return {
        layer_of(node)["name"]: "quantized" in node.attributes
        for node in Graph(symbol).nodes()
        if node.op in FUSED
    }


def found_by(symbol, parameters, batch):
    return [output.asnumpy() for output in runner(symbol, parameters, INPUTS)(*batch)]


@pytest.mark.parametrize("kind", KINDS)
def test_int8_finds_nearly_the_same(small_model, images, tmp_path, kind):
    model = KINDS[kind](small_model)
    symbol, parameters, report = quantized(model, images)
    symbol.save(str(tmp_path / "symbol.json"))
    mx.nd.save(str(tmp_path / "parameters"), parameters)
    symbol, parameters = (
        mx.sym.load(str(tmp_path / "symbol.json")),
        mx.nd.load(str(tmp_path / "parameters")),
    )
    run = runner(symbol, parameters, INPUTS)
    for sizes in (*SIZES, *SIZES):  # and back again: a layer prepares its weights for each size
        batch = images(*sizes, seed=9)
        expected = [output.asnumpy() for output in model(*map(mx.nd.array, batch))]
        assert_near([output.asnumpy() for output in run(*batch)], expected)
    # 34.5 without VNNI, where oneDNN halves the weights of layers that read numbers with a sign.
    assert min(error.sqnr for error in report.layers) > 34
    assert len(report.layers) + len(report.kept) == len(precisions(symbol))


def test_what_is_no_layer_stays_float32(small_model, images):
    graph, _ = traced(KINDS["MaskRCNN"](small_model))
    before = [node.op for node in graph.nodes()]
    symbol, _, report = quantized(KINDS["MaskRCNN"](small_model), images)
    after = [node.op for node in Graph(symbol).nodes()]
    for op in ("_contrib_box_nms", "_contrib_ROIAlign", "exp", "depth_to_space", "softmax"):
        assert before.count(op) == after.count(op) > 0, op
    assert not {op for op in after if op and "quantized_" in op} - {"_contrib_quantized_pooling"}
    assert {name for name, int8 in precisions(symbol).items() if int8} == {
        error.layer for error in report.layers
    }


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        (("first", "final"), KEPT),
        ((), set()),
        (("backbone", "*.fc.0"), {*(f"backbone.features.{n}" for n in range(3)), "roi_head.fc.0"}),
    ],
)
def test_layers_that_are_kept(small_model, images, keep, kept):
    symbol, _, report = quantized(small_model(), images, 1, keep=keep)
    assert {name for name, int8 in precisions(symbol).items() if not int8} == kept
    assert report.kept == sorted(kept)
    assert not kept & {error.layer for error in report.layers}


def test_what_cannot_be_kept(small_model, images):
    with pytest.raises(ExportError, match="\"first\", .*rpn_head.*'rpn'"):
        quantized(small_model(), images, keep=("rpn",))
    with pytest.raises(ExportError, match=r"INT8: .*\* keep all"):
        quantized(small_model(), images, keep=("*",))


# --- Layers that oneDNN fuses ---------------------------------------------------------------------


COMBINATIONS = {
    "rectified sum": lambda F, one, two: F.relu(one + two),
    "sum": lambda F, one, two: one + two,
    "rectified sum of rectified": lambda F, one, two: F.relu(F.relu(one) + two),
    "sum of rectified": lambda F, one, two: F.relu(one) + two,
    "bounded": lambda F, one, two: relu6(F, one * 4) + relu6(F, two),
}


def error_of(block, data, **options):
    """The error of a block's output in INT8 as a share of its strength, and the report."""
    graph, parameters = small_graph(block)
    symbol, parameters, report = quantize(graph, parameters, ["images"], [(data,)], **options)
    (found,) = runner(symbol, parameters, ["images"])(data)
    expected = block(mx.nd.array(data))
    return ((found - expected).norm() / expected.norm()).asscalar(), report


@pytest.mark.parametrize("cpus", CPUS)
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_sums_with_and_without_a_sign(combination, cpus):
    data = np.random.default_rng(1).uniform(0, 1, (2, 16, 12, 12)).astype("float32")
    error, report = error_of(Block(COMBINATIONS[combination]), data, keep=(), cpus=cpus)
    assert error < 0.018
    assert report.kept == (["two"] if combination == "sum of rectified" else [])


@pytest.mark.parametrize("cpus", [ANY, VNNI])
def test_products_that_saturate_16_bits(cpus):
    """Of the largest numbers there are, the sum of two products is twice what 16 bits hold."""

    graph, parameters = small_graph(mx.gluon.nn.Conv2D(16, 1, in_channels=16, use_bias=False))
    (name,) = parameters
    parameters[name] = mx.nd.ones_like(parameters[name])
    data = np.ones((1, 16, 4, 4), "float32")
    symbol, parameters, _ = quantize(graph, parameters, ["images"], [(data,)], keep=(), cpus=cpus)
    (found,) = runner(symbol, parameters, ["images"])(data)
    expected = 16 if cpus == ANY or has_vnni() else 16 * 32767 / (2 * 255 * 127)
    np.testing.assert_allclose(found.asnumpy(), expected, rtol=0.01)


def test_depthwise_layers_keep_their_bit():
    layer = mx.gluon.nn.Conv2D(16, 3, groups=16, in_channels=16, use_bias=False)
    data = np.random.default_rng(2).uniform(0, 1, (1, 16, 12, 12)).astype("float32")
    errors = [error_of(layer, data, keep=(), cpus=cpus)[0] for cpus in (ANY, VNNI)]
    assert errors[0] == errors[1] < 0.01


def test_an_mxnet_without_onednn(small_model, images, monkeypatch):
    monkeypatch.setattr(mx.runtime.Features, "is_enabled", lambda self, name: False)
    with pytest.raises(ExportError, match="oneDNN.*MXNet"):
        quantized(small_model(), images)
