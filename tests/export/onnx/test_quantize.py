"""ONNX models in INT8: which layers calculate with 8 bits, and what ONNX Runtime then finds."""

import sys

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from detkit.errors import ExportError
from detkit.export.onnx import convert, save_int8
from detkit.models.layers import relu6
from detkit.models.roi_heads import ConvFCHead, FCHead
from detkit.threshold import Threshold
from support.exports import KINDS, detector_of, photos
from support.graphs import KEPT, SIZES
from support.onnx_runs import MISSING, ONNX
from support.small import SmallBackbone


def lacking():
    """Why ONNX Runtime's quantizer cannot be used, or an empty text."""
    try:
        import onnxruntime.quantization  # noqa: F401
    except ImportError as error:
        return str(error)
    return ""


THRESHOLD = Threshold((0.5,), "f1", "val")
LACKING = "" if MISSING else lacking()
pytestmark = [ONNX, pytest.mark.processor, pytest.mark.skipif(bool(LACKING), reason=LACKING)]


class Photos:
    """A Dataset's images, of three sizes; ``read`` are the positions of those that were used."""

    def __init__(self, count=3):
        self._images = photos(*[(64, 80), (50, 96), (80, 64)][:count], seed=3)
        self.read = []

    def __len__(self):
        return len(self._images)

    def image(self, position):
        self.read.append(position)
        return self._images[position]


class ClippedBackbone(SmallBackbone):
    """The same with ReLU6, but for the last."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            for before in (3, 8):
                self.features.add(nn.Conv2D(8, 3, 2, 1, in_channels=before))
                self.features.add(nn.HybridLambda(lambda F, x: relu6(F, x)))
            self.features.add(nn.Conv2D(8, 3, 2, 1, in_channels=8))


@pytest.fixture
def quantized(tmp_path):
    """A function: the onnx.ModelProto in INT8 of a network, calibrated with photos."""

    def of(model, count=3, **options):
        import onnx

        path = tmp_path / "model-int8.onnx"
        detector = detector_of(model, transforms=[], threshold=THRESHOLD)
        save_int8(detector, str(path), Photos(), count, **options)
        found = onnx.load(str(path))
        onnx.checker.check_model(found, full_check=True)
        return found

    return of


def found_by(model, batch, outputs=None):
    """What ONNX Runtime gives for a batch, or some ``outputs`` of nodes within the model."""
    import onnx
    import onnxruntime

    inner = onnx.ModelProto()
    inner.CopyFrom(model)
    inner.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs or ())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        inner.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(outputs, dict(zip(("images", "sizes"), batch)))


def final_maps(detector):
    """The names of what the last layers of an RPN or a dense head give, on the finest level."""
    from detkit.export.onnx.quantize import layer_names

    head = getattr(detector.model, "rpn_head", None) or detector.model.head
    finals = layer_names(detector, ()) - layer_names(detector, ("final",))
    there = {node.name for node in convert(detector).graph.node}
    names = {name for name in finals & there if name.startswith(head.prefix)}
    return sorted(name for name in names if name.endswith("_1"))


def assert_maps_near(network, model, batch):
    """The error of each map is less than a tenth of its strength."""
    detector = detector_of(network)
    names = final_maps(detector)
    pairs = zip(found_by(model, batch, names), found_by(convert(detector), batch, names))
    errors = [
        float(np.linalg.norm(found - exact) / np.linalg.norm(exact)) for found, exact in pairs
    ]
    assert len(errors) == 2
    assert max(errors) < 0.1, errors
    assert min(errors) > 1e-4, errors


def precisions(model, network):
    """{layer: whether the weight, the bias and what it reads are whole numbers, a set}."""
    paths = {
        parameter.name: path.rpartition(".")[0]
        for path, parameter in network._collect_params_with_prefix().items()
    }
    makers = {output: node for node in model.graph.node for output in node.output}
    found = {}
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            sources = [makers.get(name) for name in node.input]
            whole = {
                source is not None and source.op_type == "DequantizeLinear" for source in sources
            }
            weight = sources[1].input[0] if sources[1] else node.input[1]
            found[paths[weight.replace("_quantized", "")]] = whole
    return found


def counts(model):
    operators = [node.op_type for node in model.graph.node]
    return {op: operators.count(op) for op in operators}


@pytest.mark.parametrize("kind", KINDS)
def test_int8_finds_nearly_the_same(kind, small_model, images, quantized):
    network = KINDS[kind](small_model)
    model = quantized(network)
    for sizes in SIZES:  # of one image, and of two
        batch = images(*sizes, seed=9)
        expected = [output.asnumpy() for output in network(*map(mx.nd.array, batch))]
        found = found_by(model, batch)
        assert [each.shape for each in found] == [each.shape for each in expected]
        np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=0.1)
        assert_maps_near(network, model, batch)


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        (("first", "final"), KEPT),
        ((), set()),
        (("backbone", "*.fc.0"), {*(f"backbone.features.{n}" for n in range(3)), "roi_head.fc.0"}),
    ],
)
def test_layers_that_are_kept(small_model, quantized, keep, kept):
    network = small_model()
    found = precisions(quantized(network, 1, keep=keep), network)
    assert {name for name, whole in found.items() if whole == {True}} == {*found} - kept
    assert {name for name, whole in found.items() if not whole & {True}} >= kept & {
        "backbone.features.0"  # what it reads is no layer's
    }


def test_what_is_no_layer_stays_float32(small_model, quantized):
    network = KINDS["MaskRCNN"](small_model)
    before, after = counts(convert(detector_of(network))), counts(quantized(network))
    for op in ("NonMaxSuppression", "RoiAlign", "Exp", "Softmax", "Mul", "Div", "Add", "Clip"):
        assert after[op] == before[op] > 0, op
    assert set(after) == {*before, "QuantizeLinear", "DequantizeLinear"}


def test_rectifiers_end_the_range(small_model, images, quantized):
    network = small_model(backbone=ClippedBackbone())
    before = counts(convert(detector_of(network)))
    model = quantized(network, keep=())
    after = counts(model)
    assert before["Relu"] - after.get("Relu", 0) == before["Relu"] >= 4
    assert before["Min"] - after["Min"] == 2  # those of ReLU6, and none of the boxes'
    assert_maps_near(network, quantized(network), images(*SIZES[0], seed=9))


def test_a_layer_that_is_used_on_several_levels(small_model):
    from detkit.export.onnx.quantize import layer_names

    detector = detector_of(KINDS["RetinaNet"](small_model))
    nodes = {node.name for node in convert(detector).graph.node}
    every = layer_names(detector, ()) & nodes
    assert every == {name for name in nodes if "/Conv_" in name}
    kept = every - layer_names(detector, ("head.*@2",))
    assert len(kept) == len([name for name in every if name.endswith("_2")]) > 0
    assert all(name.endswith("/Conv_2") for name in kept)


def test_the_file_says_what_it_is(small_model, quantized):
    network = small_model()
    detector = detector_of(network, transforms=[], threshold=THRESHOLD)
    found, exact = quantized(network), convert(detector)
    assert "threshold" in [entry.key for entry in exact.metadata_props]
    assert found.metadata_props == exact.metadata_props
    assert found.opset_import == exact.opset_import
    assert found.graph.input == exact.graph.input
    assert found.graph.output == exact.graph.output
    scale = f"{network.backbone.features[1].weight.name}_scale"
    assert [list(each.dims) for each in found.graph.initializer if each.name == scale] == [[8]]


@pytest.mark.parametrize("mode", ["naive", "entropy"])
def test_the_images_that_tell_the_ranges(small_model, tmp_path, mode, capsys, caplog):
    dataset = Photos()
    save_int8(detector_of(small_model()), str(tmp_path / "model.onnx"), dataset, 2, mode)
    assert dataset.read == [0, 2]  # of another size each
    assert capsys.readouterr().out == ""
    assert not caplog.records


def test_layers_without_a_bias(small_model, images, quantized, caplog):
    """A convolution before a group norm, and the first half of a layer with a rank."""
    norm = {"type": "GN", "groups": 3}
    for head in (
        ConvFCHead(8, 3, 3, convs=[6], norm=norm, hidden=[8]),
        FCHead(8, 3, 3, hidden=[16], dropout=0, ranks=[4]),
    ):
        network = small_model(roi_head=head)
        batch = images(*SIZES[0], seed=9)
        expected = [output.asnumpy() for output in network(*map(mx.nd.array, batch))]
        found = found_by(quantized(network), batch)
        np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=0.1)
    assert not caplog.records  # ONNX Runtime warns of an input without a name


def test_what_cannot_be_quantized(small_model, tmp_path, quantized, monkeypatch):
    with pytest.raises(ExportError, match="'rpn'"):
        quantized(small_model(), keep=("rpn",))
    with pytest.raises(ExportError, match=r"INT8: .*\* keep all"):
        quantized(small_model(), keep=("*",))
    detector = detector_of(small_model())
    with pytest.raises(ExportError, match="at least one image"):
        save_int8(detector, str(tmp_path / "model.onnx"), Photos(0), 2)
    path = tmp_path / "no" / "model.onnx"
    with pytest.raises(ExportError, match=f"{path}: .*No such file"):
        save_int8(detector, str(path), Photos(), 1)
    monkeypatch.setitem(sys.modules, "onnxruntime.quantization", None)
    with pytest.raises(ExportError, match=r"quantizer.*pip install 'detkit-gluon\[onnx\]'"):
        save_int8(detector, str(path), Photos(), 1)
