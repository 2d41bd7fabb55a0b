"""INT8 in ONNX: a model whose layers ONNX Runtime, or another runtime, computes with 8 bits."""

import contextlib
import io
import os
import tempfile
from collections import Counter

import mxnet as mx
import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from detkit.errors import ExportError
from detkit.export.calibrate import ENTROPY, NAIVE
from detkit.export.layers import LAYERS, name_layers, select
from detkit.export.precision import examples_of
from detkit.export.symbol import trace
from detkit.ops import backend

LAYER_OPS = ("Conv", "Gemm", "MatMul")
RECTIFIERS = ("Relu", "Clip")  # become part of the range of the layer before them
METHODS = {NAIVE: CalibrationMethod.MinMax, ENTROPY: CalibrationMethod.Entropy}
PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")  # keeps the quantizer from warning
OPTIONS = {"CalibStridedMinMax": 1}  # one image's arrays in memory at a time, of any size


def quantized(detector, model, dataset, count, mode, keep):
    """See detkit.export.onnx.save_int8; model: what ``convert`` gives; a new onnx.ModelProto."""
    examples = Examples(detector, dataset, count)
    if not len(examples):
        raise ExportError("no image to calibrate with; expected at least one")
    chosen = layer_names(detector, keep)
    model = bounded(model)
    layers = [node for node in model.graph.node if node.name in chosen]
    if not layers:
        raise ExportError(f"no layer is left for INT8: {', '.join(keep)} keep all; keep fewer")
    given = {node.output[0] for node in layers}
    after = [
        node
        for node in model.graph.node
        if node.op_type in RECTIFIERS and node.input[0] in given
    ]
    about = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**about, PREPARED[0]: PREPARED[1]})
    with tempfile.TemporaryDirectory() as scratch:
        source, target = (os.path.join(scratch, name) for name in ("float32.onnx", "int8.onnx"))
        onnx.save(model, source)
        with contextlib.redirect_stdout(io.StringIO()):  # a line for each image
            quantize_static(
                source,
                target,
                examples,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=[*LAYER_OPS, *RECTIFIERS],
                per_channel=True,
                reduce_range=bool(os.environ.get("RR")),
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=[node.name for node in [*layers, *after]],
                calibrate_method=METHODS[mode],
                extra_options=OPTIONS,
            )
        found = onnx.load(target)
    return found


class Examples(CalibrationDataReader):
    """A Detector's inputs for images of a Dataset, as the quantizer asks for them: in ranges."""

    def __init__(self, detector, dataset, count):
        self._names = detector.model.INPUTS
        self._count = min(count, len(dataset))
        self._examples = examples_of(detector, dataset, count)
        self._left = self._count

    def __len__(self):
        return self._count

    def set_range(self, start_index, end_index):
        """The next ones shall be so many; the quantizer goes through them in order, once."""
        self._left = end_index - start_index

    def get_next(self):
        """{name of an input: array} for one image, None at the end of the range."""
        if not self._left:
            return None
        self._left -= 1
        return dict(zip(self._names, next(self._examples)))


def layer_names(detector, keep):
    """The names that the nodes of layers can have in ONNX, a set, but for the layers to ``keep``.

    keep: patterns, as ``select`` says. A node is called by the operator that it translates, and a
    number that tells apart those of a layer that is used several times.
    """
    with mx.name.NameManager():  # the names that ``convert`` has found
        graph, _ = trace(detector.model, backend.NATIVE)
    layers = [node for node in graph.nodes() if node.op in LAYERS]
    scopes = [node.name for node in layers]
    name_layers(graph, detector.model)
    kept, used, names = select(graph, keep), Counter(), set()
    for node, scope in zip(layers, scopes):
        used[scope] += 1
        if node.name not in kept:
            names.update(f"{scope}/{op}_{used[scope]}" for op in LAYER_OPS)
    return names


def bounded(model):
    """A copy of a model in which min(relu(x), s) is one Clip, which the quantizer knows."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    scalars = {each.name for each in graph.initializer if not each.dims}
    readers = Counter(name for node in graph.node for name in node.input)
    rectified = {
        node.output[0]: node
        for node in graph.node
        if node.op_type == "Relu" and readers[node.output[0]] == 1
    }
    zero = onnx.numpy_helper.from_array(np.float32(0), "rectifier/zero")
    for node in list(graph.node):
        if node.op_type == "Min" and node.input[0] in rectified and node.input[1] in scalars:
            relu = rectified[node.input[0]]
            relu.op_type, relu.output[0] = "Clip", node.output[0]
            relu.input.extend([zero.name, node.input[1]])
            graph.node.remove(node)
    if any(zero.name in node.input for node in graph.node):
        graph.initializer.append(zero)
    return copy
