"""The convolutions of a graph that become detkit's own, with what follows them."""

import json

import mxnet as mx
import numpy as np
import pytest

import detkit
from detkit.errors import ExportError
from detkit.export.graph.convolutions import use_own_convolutions
from detkit.export.graph.graph import Graph
from detkit.export.manifest import SYMBOL
from detkit.export.precision.precisions import BFloat16
from detkit.export.symbol import export
from detkit.ops import backend
from detkit.processor import has_bfloat16
from support.exports import KINDS, assert_same, detector_of, exported, photos
from support.graphs import needs_onednn, ops_of

pytestmark = [pytest.mark.processor, pytest.mark.usefixtures("built_library")]
ONE, THREE, DEPTHWISE = "detkit_conv1x1", "detkit_conv3x3", "detkit_depthwise"
OWN = {ONE, THREE, DEPTHWISE}


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    # oneDNN's fusion gives wrong results if a convolution is read by a ReLU and is an output.
    monkeypatch.setenv("MXNET_SUBGRAPH_BACKEND", "NONE")
    monkeypatch.delenv(backend.CONVOLUTIONS_VARIABLE, raising=False)


def convolution(x, side=3, name="conv", bias=True, **changes):
    """A Convolution of 4 filters as Gluon writes it, or with some attributes changed."""
    attributes = {
        "kernel": (side, side),
        "stride": (1, 1),
        "dilate": (1, 1),
        "pad": (side // 2, side // 2),
        "num_filter": 4,
        "num_group": 1,
        "layout": "NCHW",
        **changes,
    }
    attributes = {key: value for key, value in attributes.items() if value is not None}
    return mx.sym.Convolution(x, no_bias=not bias, name=name, **attributes)


def relu(x):
    return mx.sym.Activation(x, act_type="relu")


def rewritten(symbol):
    """The symbol after the pass, whose results have to be those of the symbol before."""
    rng = np.random.default_rng(0)
    shapes, *_ = symbol.infer_shape(x=(2, 4, 7, 9))
    arrays = [mx.nd.array(rng.normal(0, 0.5, shape)) for shape in shapes]
    named = dict(zip(symbol.list_inputs(), arrays))
    with backend.using("native"):
        graph = Graph(symbol)
        use_own_convolutions(graph, {name: each for name, each in named.items() if name != "x"})
        found = graph.symbol()
    assert set(found.list_inputs()) == set(named)
    outputs = [
        each.bind(mx.cpu(), [named[name] for name in each.list_inputs()]).forward()
        for each in (found, symbol)
    ]
    for one, other in zip(*outputs):
        np.testing.assert_allclose(one.asnumpy(), other.asnumpy(), rtol=0, atol=1e-4)
    return found


X = mx.sym.var("x")
ABSENT = {"stride": None, "dilate": None, "num_group": None, "layout": None}
KERNELS = {
    1: (ONE, {"stride": "1", "residual": "False", "bfloat16": "False"}),
    3: (THREE, {"bfloat16": "False", "keeps": "True", "pools": "False"}),
}


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("changes", [{}, ABSENT])
def test_a_convolution_with_the_relu_that_alone_reads_it(kernel, bias, changes):
    op, attributes = KERNELS[kernel]
    found = rewritten(relu(convolution(X, kernel, bias=bias, **changes)))
    assert ops_of(found) == [op]
    expected = {**attributes, "no_bias": str(not bias), "relu": "True", "most": "inf"}
    assert found.attr_dict()["conv"] == expected


def test_no_relu():
    found = rewritten(mx.sym.Activation(convolution(X), act_type="sigmoid"))
    assert ops_of(found) == [THREE, "Activation"]
    assert found.attr_dict()["conv"]["relu"] == "False"


def test_a_relu_before_which_another_reads_stays():
    conv = convolution(X)
    assert ops_of(rewritten(relu(conv) + conv)) == [THREE, "Activation", "elemwise_add"]
    assert ops_of(rewritten(mx.sym.Group([relu(conv), conv]))) == [THREE, "Activation"]


def test_one_after_another():
    first = relu(convolution(X, name="first"))
    second = relu(convolution(first, name="second")) + first
    found = rewritten(mx.sym.Group([second, relu(convolution(second, name="third"))]))
    assert ops_of(found) == [THREE, THREE, "elemwise_add", THREE]


def test_sums_are_part_of_a_1x1_convolution():
    one, other = convolution(X, 1, "one"), convolution(X, 1, "other", bias=False)
    assert ops_of(rewritten(relu(one + other))) == [ONE, ONE]
    found = rewritten(mx.sym.minimum(relu(X + convolution(convolution(X), 1, "one")), 0.5))
    assert ops_of(found) == [THREE, ONE]
    assert ops_of(rewritten(one + one)) == [ONE, "elemwise_add"]
    assert ops_of(rewritten(mx.sym.Group([one + X, one]))) == [ONE, "elemwise_add"]


def test_upper_bounds():
    assert ops_of(rewritten(mx.sym.minimum(relu(convolution(X)), 0.5))) == [THREE]
    assert ops_of(rewritten(mx.sym.minimum(relu(convolution(X)), -1))) == [THREE, "_minimum_scalar"]


@pytest.mark.parametrize(
    "changes, op",
    [
        ({"kernel": (1, 1), "pad": (0, 0), "stride": (2, 2)}, ONE),
        ({"num_group": 4}, DEPTHWISE),
        ({"num_group": 4, "stride": (2, 2)}, DEPTHWISE),
    ],
)
def test_strides_and_groups(changes, op):
    found = rewritten(relu(convolution(X, **changes)))
    assert ops_of(found) == [op]
    assert found.attr_dict()["conv"]["stride"] == str(changes.get("stride", (1, 1))[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"kernel": (1, 1)},
        {"kernel": (1, 1), "pad": (0, 0), "stride": (1, 2)},
        {"kernel": (1, 1), "pad": (0, 0), "num_group": 2},
        {"kernel": (5, 5)},
        {"kernel": (3, 1)},
        {"pad": (0, 0)},
        {"pad": None},
        {"stride": (2, 2)},
        {"dilate": (2, 2)},
        {"num_group": 2},
        {"num_group": 4, "num_filter": 8},
        {"num_group": 4, "pad": (0, 0)},
    ],
)
def test_other_convolutions_stay(changes):
    symbol = relu(convolution(X, **changes))
    found = rewritten(symbol)
    assert ops_of(found) == ["Convolution", "Activation"]
    assert found.attr_dict()["conv"] == symbol.attr_dict()["conv"]


def pooled(x):
    return mx.sym.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")


@pytest.mark.parametrize("rectified", [False, True])
def test_a_convolution_with_the_pooling_that_alone_reads_it(rectified):
    conv = convolution(X)
    found = rewritten(pooled(relu(conv) if rectified else conv))
    assert ops_of(found) == [THREE]
    attributes = found.attr_dict()["conv"]
    assert (attributes["pools"], attributes["relu"]) == ("True", str(rectified))


def test_a_pooling_before_which_another_reads_stays():
    conv = relu(convolution(X))
    found = rewritten(mx.sym.Group([pooled(conv), conv]))
    assert ops_of(found) == [THREE, "detkit_max_pool"]
    assert ops_of(rewritten(pooled(relu(convolution(X, 1))))) == [ONE, "detkit_max_pool"]


def test_poolings_and_repeated_cells():
    pooled = mx.sym.Pooling(X, kernel=(2, 2), stride=(2, 2), pool_type="max")
    repeated = mx.sym.UpSampling(pooled, scale=2, sample_type="nearest")
    like = mx.sym.slice(X, begin=(0, 0, 0, 0), end=(2, 4, 6, 7))
    found = rewritten(mx.sym.slice_like(repeated, like, axes=(2, 3)))
    assert ops_of(found) == ["detkit_max_pool", "slice", "detkit_upsample"]


@pytest.mark.parametrize(
    "changes",
    [
        {"kernel": (3, 3)},
        {"stride": (1, 1)},
        {"pad": (1, 1)},
        {"pool_type": "avg"},
        {"pooling_convention": "full"},
        {"global_pool": True},
    ],
)
def test_other_poolings_stay(changes):
    arguments = {"kernel": (2, 2), "stride": (2, 2), "pool_type": "max", **changes}
    assert ops_of(rewritten(mx.sym.Pooling(X, **arguments))) == ["Pooling"]


def test_other_repetitions_stay():
    for scale, axes in ((3, (2, 3)), (2, (1, 2, 3))):
        repeated = mx.sym.UpSampling(X, scale=scale, sample_type="nearest")
        found = rewritten(mx.sym.slice_like(repeated, X, axes=axes))
        assert ops_of(found) == ["UpSampling", "slice_like"]


# --- The export of a detector ---------------------------------------------------------------------


def operators_in(folder):
    return ops_of(mx.sym.load(str(folder / SYMBOL)))


def nodes_in(folder):
    return json.loads((folder / SYMBOL).read_text(encoding="utf-8"))["nodes"]


@pytest.mark.parametrize("kind", ["FasterRCNN", "RetinaNet"])
def test_an_export_uses_it(small_model, tmp_path, kind):
    detector = exported(KINDS[kind](small_model), tmp_path, "native")
    assert {ONE, THREE} <= set(operators_in(tmp_path))
    images = photos((64, 80), (50, 96))
    assert_same(detkit.load_exported(tmp_path).detect(images), detector.detect(images))


@pytest.mark.parametrize("name, direct", [("mxnet", False), ("native", True)])
def test_the_operators_of_the_process_do_not_matter(small_model, tmp_path, name, direct):
    with backend.using(name, direct=direct):
        export(detector_of(small_model()), str(tmp_path), "native")
    assert {ONE, THREE} <= set(operators_in(tmp_path))


def test_an_export_does_without_where_it_is_told_to(small_model, tmp_path, monkeypatch):
    detector = exported(small_model(), tmp_path / "mxnet", "mxnet")
    monkeypatch.setenv(backend.CONVOLUTIONS_VARIABLE, "direct")
    export(detector, str(tmp_path / "direct"), "native")
    for name in ("mxnet", "direct"):
        assert not OWN & set(operators_in(tmp_path / name))
        assert "Convolution" in operators_in(tmp_path / name)


def test_an_export_that_a_gpu_may_run_does_without(small_model, tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "has_cuda", lambda path: True)
    export(detector_of(small_model()), str(tmp_path), "native")
    assert not OWN & set(operators_in(tmp_path))


@pytest.mark.skipif(not has_bfloat16(), reason="this CPU has no avx512_bf16")
@pytest.mark.parametrize("kind", ["FasterRCNN", "MaskRCNN", "RetinaNet"])
def test_layers_of_16_bits_are_detkits(small_model, tmp_path, kind):
    detector = exported(KINDS[kind](small_model), tmp_path, "native", precision=BFloat16(["first"]))
    layers = [node for node in nodes_in(tmp_path) if node["op"] in {ONE, THREE}]
    assert {node["attrs"]["bfloat16"] for node in layers[1:]} == {"True"}
    for image in photos((64, 80), (50, 96)):
        (found,), (expected,) = (
            each.detect([image]) for each in (detkit.load_exported(tmp_path), detector)
        )
        np.testing.assert_allclose(found.scores[:3], expected.scores[:3], rtol=0.1)


@needs_onednn
@pytest.mark.skipif(not has_bfloat16(), reason="this CPU has no avx512_bf16")
def test_layers_of_16_bits_are_mxnets_where_it_is_told_to(small_model, tmp_path, monkeypatch):
    monkeypatch.setenv(backend.CONVOLUTIONS_VARIABLE, "direct")
    export(detector_of(small_model()), str(tmp_path), "native", precision=BFloat16())
    assert not OWN & set(operators_in(tmp_path))


def test_nothing_is_left_for_16_bits(small_model, tmp_path, monkeypatch):
    monkeypatch.setattr("detkit.export.precision.bf16.has_bfloat16", lambda: True)
    with pytest.raises(ExportError, match="bfloat16"):
        export(detector_of(small_model()), str(tmp_path), "native", precision=BFloat16(["*"]))
