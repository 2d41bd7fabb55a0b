"""INT8: which layers calculate with 8-bit numbers, and what that does to the results."""

import json

import mxnet as mx
import numpy as np
import pytest

from detkit.errors import ExportError
from detkit.export.graph.fusion import FUSED, fuse, layer_of
from detkit.export.graph.graph import Graph
from detkit.export.graph.layer_names import LAYERS, name_layers, select
from detkit.export.graph.simplify import simplify
from detkit.export.manifest import ANY, VNNI
from detkit.export.precision.calibrate import runner
from detkit.export.precision.quantize import quantize
from detkit.models.layers import relu6
from detkit.models.necks import FPN
from detkit.processor import has_vnni
from support.exports import KINDS
from support.graphs import INPUTS, KEPT, SIZES, assert_near, needs_onednn, traced

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


def test_layers_have_names_of_their_own(small_model):
    graph, _ = traced(KINDS["RetinaNet"](small_model))
    names = [node.name for node in graph.nodes() if node.op]
    assert len(names) == len(set(names))
    layers = {node.name for node in graph.nodes() if node.op in LAYERS}
    assert {"neck.p6", "head.classes", "head.classes@2", "head.classes@3"} < layers
    assert select(graph, ["head.classes"]) == {f"head.classes{each}" for each in ("", "@2", "@3")}
    assert select(graph, ["head.classes@2"]) == {"head.classes@2"}


def test_the_report(small_model, images):
    _, _, report = quantized(small_model(), images, mode="entropy")
    content = json.loads(report.text())
    assert content["mode"] == "entropy"
    assert set(content["kept"]) == KEPT
    errors = [layer["sqnr"] for layer in content["layers"]]
    assert errors == sorted(errors)
    assert {"layer": "roi_head.fc.0", "operator": "FullyConnected"}.items() <= max(
        content["layers"], key=lambda layer: layer["operator"]
    ).items()
    header, *lines, last = report.table().splitlines()
    assert [line.split()[0] for line in lines] == [layer["layer"] for layer in content["layers"]]
    assert last.startswith("float32: backbone.features.0, ")


# --- Layers that oneDNN fuses ---------------------------------------------------------------------


class Block(mx.gluon.HybridBlock):
    """Two convolutions, and a function of what they give."""

    def __init__(self, combine):
        super().__init__()
        self._combine = combine
        with self.name_scope():
            self.one = mx.gluon.nn.Conv2D(16, 1, in_channels=16, use_bias=False)
            self.two = mx.gluon.nn.Conv2D(16, 3, padding=1, in_channels=16)

    def hybrid_forward(self, F, x):
        return self._combine(F, self.one(x), self.two(x))


COMBINATIONS = {
    "rectified sum": lambda F, one, two: F.relu(one + two),
    "sum": lambda F, one, two: one + two,
    "rectified sum of rectified": lambda F, one, two: F.relu(F.relu(one) + two),
    "sum of rectified": lambda F, one, two: F.relu(one) + two,
    "bounded": lambda F, one, two: relu6(F, one * 4) + relu6(F, two),
}


def small_graph(block):
    block.initialize()
    rng = np.random.default_rng(0)
    for parameter in block.collect_params().values():
        parameter.set_data(mx.nd.array(rng.normal(0, 0.3, parameter.shape)))
    graph = Graph(block(mx.sym.var("images")))
    parameters = simplify(
        graph, {name: each.data() for name, each in block.collect_params().items()}
    )
    name_layers(graph, block)
    return graph, parameters


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


def test_a_bounded_rectifier_is_part_of_the_layer():
    graph, _ = small_graph(Block(lambda F, one, two: relu6(F, one) + relu6(F, two)))
    ops = [node.op for node in fuse(graph).nodes() if node.op]
    assert ops == ["_sg_mkldnn_conv", "_sg_mkldnn_conv", "elemwise_add"]


def test_the_sums_of_a_pyramid_are_part_of_its_layers():
    class Pyramid(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            self.neck = FPN([4, 4], [4, 8], channels=4, extra="none")

        def hybrid_forward(self, F, fine, coarse):
            return self.neck([fine, coarse])

    pyramid = Pyramid()
    pyramid.initialize()
    graph = Graph(mx.sym.Group(pyramid(mx.sym.var("fine"), mx.sym.var("coarse"))))
    parameters = {name: each.data() for name, each in pyramid.collect_params().items()}
    fused = fuse(graph)
    assert "elemwise_add" not in [node.op for node in fused.nodes()]
    data = [mx.nd.random.normal(shape=(2, 4, *size)) for size in ((7, 9), (4, 5))]
    found = runner(fused.symbol(), parameters, ["fine", "coarse"])(*data)
    for output, expected in zip(found, pyramid(*data)):
        np.testing.assert_allclose(output.asnumpy(), expected.asnumpy(), rtol=0, atol=1e-5)


def test_an_mxnet_without_onednn(small_model, images, monkeypatch):
    monkeypatch.setattr(mx.runtime.Features, "is_enabled", lambda self, name: False)
    with pytest.raises(ExportError, match="oneDNN.*MXNet"):
        quantized(small_model(), images)
