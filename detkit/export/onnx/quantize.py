"""INT8: a model whose layers stand between QuantizeLinear and DequantizeLinear, by ONNX Runtime's
own quantizer."""

import contextlib
import io
import os
import tempfile
from collections import Counter

import mxnet as mx
import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from detkit.errors import ExportError
from detkit.export.graph.layer_names import LAYERS, name_layers, select
from detkit.export.manifest import VNNI
from detkit.export.precision.calibrate import ENTROPY, NAIVE
from detkit.export.precision.precisions import examples_of
from detkit.export.symbol import trace
from detkit.ops import backend

LAYER_OPS = ("Conv", "Gemm", "MatMul")
RECTIFIERS = ("Relu", "Clip")  # the range of 8 bits can end where they end
METHODS = {NAIVE: CalibrationMethod.MinMax, ENTROPY: CalibrationMethod.Entropy}
HOW = {
    "quant_format": QuantFormat.QDQ,
    "op_types_to_quantize": [*LAYER_OPS, *RECTIFIERS],
    "per_channel": True,
    "activation_type": QuantType.QUInt8,
    "weight_type": QuantType.QInt8,
    # One image at a time: arrays of all would be in memory else, and must be of one size.
    "extra_options": {"CalibStridedMinMax": 1},
}
PREPARED = {"onnx.quant.pre_process": "onnxruntime.quant"}  # else the quantizer warns


def quantized(detector, model, dataset, count, mode, keep, cpus, proposals=None):
    """``model``, which ``convert`` made of a Detector, in INT8; see detkit.export.onnx.save_int8.

    It is used up.
    """
    if not len(dataset):
        raise ExportError("no image to calibrate with; expected at least one")
    names = layer_names(detector, keep)
    bound_rectifiers(model.graph)
    layers = [node for node in model.graph.node if node.name in names]
    if not layers:
        raise ExportError(f"no layer is left for INT8: {', '.join(keep)} keep all; keep fewer")
    outputs = {node.output[0] for node in layers}
    after = [
        node for node in model.graph.node if node.op_type in RECTIFIERS and node.input[0] in outputs
    ]
    about = {entry.key: entry.value for entry in model.metadata_props}
    helper.set_model_props(model, {**about, **PREPARED})
    with tempfile.TemporaryDirectory() as scratch:
        source, target = (os.path.join(scratch, name) for name in ("float32.onnx", "int8.onnx"))
        onnx.save(model, source)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a line for each image
            quantize_static(
                source,
                target,
                Examples(detector, dataset, count, proposals),
                nodes_to_quantize=[node.name for node in (*layers, *after)],
                calibrate_method=METHODS[mode],
                # To 7 bits: CPUs without VNNI add two products in 16 bits, and saturate.
                reduce_range=cpus != VNNI,
                **HOW,
            )
        result = onnx.load(target)
    helper.set_model_props(result, about)
    return result


class Examples(CalibrationDataReader):
    """What ``examples_of`` gives, as the quantizer asks for it: in ranges, which follow each other.

    All are one range until it names another.
    """

    def __init__(self, detector, dataset, count, proposals):
        self._inputs = detector.model.INPUTS
        self._examples = examples_of(detector, dataset, count, proposals)
        self._count = self._left = min(count, len(dataset))

    def __len__(self):
        return self._count

    def set_range(self, start_index, end_index):
        """Go on for so many."""
        self._left = end_index - start_index

    def get_next(self):
        """{input: array} of the next image, None after the last one of the range."""
        if not self._left:
            return None
        self._left -= 1
        return dict(zip(self._inputs, next(self._examples)))


def layer_names(detector, keep):
    """The names in ONNX of a Detector's layers without those to ``keep``, a set.

    keep: patterns, as ``select`` says. A node is called after the operator that it translates; the
    uses of one layer are numbered. Each name is there with every operator that it can be.
    """
    with mx.name.NameManager():  # the names that ``convert`` sees
        graph, _ = trace(detector.model, backend.NATIVE)
    layers = [node for node in graph.nodes() if node.op in LAYERS]
    scopes = [node.name for node in layers]
    name_layers(graph, detector.model)
    kept, uses, names = select(graph, keep), Counter(), set()
    for node, scope in zip(layers, scopes):
        uses[scope] += 1
        if node.name not in kept:
            names.update(f"{scope}/{op}_{uses[scope]}" for op in LAYER_OPS)
    return names


def bound_rectifiers(graph):
    """min(relu(x), s) as the Clip that the quantizer knows, in an onnx.GraphProto."""
    scalars = {each.name for each in graph.initializer if not each.dims}
    readers = Counter(name for node in graph.node for name in node.input)
    rectified = {node.output[0]: node for node in graph.node if node.op_type == "Relu"}
    zero = numpy_helper.from_array(np.float32(0), "rectifier/zero")
    bounds = [
        node
        for node in graph.node
        if node.op_type == "Min"
        and node.input[0] in rectified
        and readers[node.input[0]] == 1
        and node.input[1] in scalars
    ]
    for node in bounds:
        relu = rectified[node.input[0]]
        relu.op_type, relu.output[0] = "Clip", node.output[0]
        relu.input.extend([zero.name, node.input[1]])
        graph.node.remove(node)
    if bounds:
        graph.initializer.append(zero)
