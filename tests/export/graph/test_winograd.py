"""3x3 convolutions of a graph become detkit's operator, and only they."""

import mxnet as mx
import numpy as np
import pytest

import detkit
from detkit.export.graph.graph import Graph
from detkit.export.graph.winograd import use_winograd
from detkit.export.manifest import SYMBOL
from detkit.export.precision.precisions import BFloat16
from detkit.export.symbol import export
from detkit.ops import backend
from detkit.processor import has_bfloat16
from support.exports import KINDS, assert_same, detector_of, exported, photos
from support.graphs import needs_onednn, ops_of

pytestmark = [pytest.mark.processor, pytest.mark.usefixtures("built_library")]
WINOGRAD = "detkit_conv3x3"


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    # oneDNN's fusion gives wrong results if a convolution is read by a ReLU and is an output.
    monkeypatch.setenv("MXNET_SUBGRAPH_BACKEND", "NONE")
    monkeypatch.delenv(backend.CONVOLUTIONS_VARIABLE, raising=False)


def convolution(x, name="conv", bias=True, **changes):
    """A Convolution of 4 filters as Gluon writes it, or with some attributes changed."""
    attributes = {
        "kernel": (3, 3),
        "stride": (1, 1),
        "dilate": (1, 1),
        "pad": (1, 1),
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
    with backend.using("native"):
        graph = Graph(symbol)
        use_winograd(graph)
        found = graph.symbol()
    assert found.list_inputs() == symbol.list_inputs()
    rng = np.random.default_rng(0)
    shapes, *_ = symbol.infer_shape(x=(2, 4, 7, 9))
    arrays = [mx.nd.array(rng.normal(0, 0.5, shape)) for shape in shapes]
    outputs = [each.bind(mx.cpu(), arrays).forward() for each in (found, symbol)]
    for one, other in zip(*outputs):
        np.testing.assert_allclose(one.asnumpy(), other.asnumpy(), rtol=0, atol=1e-4)
    return found


X = mx.sym.var("x")
ABSENT = {"stride": None, "dilate": None, "num_group": None, "layout": None}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("changes", [{}, ABSENT])
def test_a_convolution_with_the_relu_that_alone_reads_it(bias, changes):
    found = rewritten(relu(convolution(X, bias=bias, **changes)))
    assert ops_of(found) == [WINOGRAD]
    assert found.attr_dict()["conv"] == {"no_bias": str(not bias), "relu": "True"}


def test_no_relu():
    found = rewritten(mx.sym.Activation(convolution(X), act_type="sigmoid"))
    assert ops_of(found) == [WINOGRAD, "Activation"]
    assert found.attr_dict()["conv"]["relu"] == "False"


def test_a_relu_before_which_another_reads_stays():
    conv = convolution(X)
    assert ops_of(rewritten(relu(conv) + conv)) == [WINOGRAD, "Activation", "elemwise_add"]
    assert ops_of(rewritten(mx.sym.Group([relu(conv), conv]))) == [WINOGRAD, "Activation"]


def test_one_after_another():
    first = relu(convolution(X, "first"))
    second = relu(convolution(first, "second")) + first
    found = rewritten(mx.sym.Group([second, relu(convolution(second, "third"))]))
    assert ops_of(found) == [WINOGRAD, WINOGRAD, "elemwise_add", WINOGRAD]


@pytest.mark.parametrize(
    "changes",
    [
        {"kernel": (1, 1), "pad": (0, 0)},
        {"kernel": (5, 5)},
        {"kernel": (3, 1)},
        {"pad": (0, 0)},
        {"pad": None},
        {"stride": (2, 2)},
        {"dilate": (2, 2)},
        {"num_group": 2},
    ],
)
def test_other_convolutions_stay(changes):
    symbol = relu(convolution(X, **changes))
    found = rewritten(symbol)
    assert ops_of(found) == ["Convolution", "Activation"]
    assert found.attr_dict()["conv"] == symbol.attr_dict()["conv"]


# --- The export of a detector ---------------------------------------------------------------------


def operators_in(folder):
    return ops_of(mx.sym.load(str(folder / SYMBOL)))


@pytest.mark.parametrize("kind", ["FasterRCNN", "RetinaNet"])
def test_an_export_uses_it(small_model, tmp_path, kind):
    detector = exported(KINDS[kind](small_model), tmp_path, "native")
    assert WINOGRAD in operators_in(tmp_path)
    images = photos((64, 80), (50, 96))
    assert_same(detkit.load_exported(tmp_path).detect(images), detector.detect(images))


@pytest.mark.parametrize("name, direct", [("mxnet", False), ("native", True)])
def test_the_operators_of_the_process_do_not_matter(small_model, tmp_path, name, direct):
    with backend.using(name, direct=direct):
        export(detector_of(small_model()), str(tmp_path), "native")
    assert WINOGRAD in operators_in(tmp_path)


def test_an_export_does_without_where_it_is_told_to(small_model, tmp_path, monkeypatch):
    detector = exported(small_model(), tmp_path / "mxnet", "mxnet")
    monkeypatch.setenv(backend.CONVOLUTIONS_VARIABLE, "direct")
    export(detector, str(tmp_path / "direct"), "native")
    for name in ("mxnet", "direct"):
        assert WINOGRAD not in operators_in(tmp_path / name)
        assert "Convolution" in operators_in(tmp_path / name)


def test_an_export_that_a_gpu_may_run_does_without(small_model, tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "has_cuda", lambda path: True)
    export(detector_of(small_model()), str(tmp_path), "native")
    assert WINOGRAD not in operators_in(tmp_path)


@needs_onednn
@pytest.mark.skipif(not has_bfloat16(), reason="this CPU has no avx512_bf16")
def test_layers_of_fewer_bits_do_without(small_model, tmp_path):
    export(detector_of(small_model()), str(tmp_path), "native", precision=BFloat16())
    assert WINOGRAD not in operators_in(tmp_path)
