"""INT8 in ONNX: layers between QuantizeLinear and DequantizeLinear, by ONNX Runtime's quantizer."""

import contextlib
import io
import os
import tempfile
from collections import Counter
from typing import Any, Dict, Mapping, Optional, Sequence, Set

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

from detkit.data.sample import Dataset
from detkit.detector import Detector
from detkit.errors import ExportError
from detkit.export.graph.layer_names import LAYERS, name_layers, no_layer_left, select
from detkit.export.manifest import VNNI
from detkit.export.precision.calibrate import ENTROPY, NAIVE, NO_IMAGE
from detkit.export.precision.precisions import examples_of
from detkit.export.symbol import trace
from detkit.ops import backend

LAYER_OPS = ("Conv", "Gemm", "MatMul")
RECTIFIERS = ("Relu", "Clip")  # the range of 8 bits can do their work if they follow a layer
METHODS = {NAIVE: CalibrationMethod.MinMax, ENTROPY: CalibrationMethod.Entropy}
HOW = {
    "quant_format": QuantFormat.QDQ,
    "op_types_to_quantize": [*LAYER_OPS, *RECTIFIERS],
    "per_channel": True,
    "activation_type": QuantType.QUInt8,
    "weight_type": QuantType.QInt8,
    # One image at a time. Otherwise the arrays of all images would be in memory, and of one size.
    "extra_options": {"CalibStridedMinMax": 1},
}
PREPARED = {"onnx.quant.pre_process": "onnxruntime.quant"}  # without it, the quantizer warns


def quantized(
    detector: Detector,
    model: Any,
    dataset: Dataset,
    count: int,
    mode: str,
    keep: Sequence[str],
    cpus: str,
    proposals: Optional[Mapping[Any, np.ndarray]] = None,
) -> Any:
    """Returns an onnx.ModelProto in INT8.

    model: the ModelProto that ``convert`` made of the Detector; it is changed. The other arguments
    and the errors are those of detkit.export.onnx.save_int8.
    """
    if not len(dataset):
        raise ExportError(NO_IMAGE)
    names = layer_names(detector, keep)
    clip_onnx_rectifiers(model.graph)
    layers = [node for node in model.graph.node if node.name in names]
    if not layers:
        raise no_layer_left("INT8", keep)
    outputs = {node.output[0] for node in layers}
    after = [
        node for node in model.graph.node if node.op_type in RECTIFIERS and node.input[0] in outputs
    ]
    about = {entry.key: entry.value for entry in model.metadata_props}
    helper.set_model_props(model, {**about, **PREPARED})
    result = _quantized_nodes(
        model,
        [node.name for node in (*layers, *after)],
        Examples(detector, dataset, count, proposals),
        calibrate_method=METHODS[mode],
        # Weights of 7 bits, because CPUs without VNNI add two products in 16 bits.
        reduce_range=cpus != VNNI,
    )
    helper.set_model_props(result, about)
    return result


def _quantized_nodes(model: Any, names: Sequence[str], examples: "Examples", **options: Any) -> Any:
    """Returns a ModelProto with the nodes ``names`` in INT8, from ONNX Runtime's quantizer."""
    with tempfile.TemporaryDirectory() as scratch:
        source, target = (os.path.join(scratch, name) for name in ("float32.onnx", "int8.onnx"))
        onnx.save(model, source)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a line for each image
            quantize_static(
                source,
                target,
                examples,
                nodes_to_quantize=list(names),
                **options,
                **HOW,
            )
        return onnx.load(target)


class Examples(CalibrationDataReader):
    """The images of the calibration, from ``examples_of``, in the form that the quantizer reads.

    The quantizer reads consecutive ranges of images. Until it sets one, the range is all of them.
    """

    def __init__(
        self,
        detector: Detector,
        dataset: Dataset,
        count: int,
        proposals: Optional[Mapping[Any, np.ndarray]],
    ) -> None:
        self._inputs = detector.model.INPUTS
        self._examples = examples_of(detector, dataset, count, proposals)
        self._count = self._left = min(count, len(dataset))

    def __len__(self) -> int:
        return self._count

    def set_range(self, start_index: int, end_index: int) -> None:
        """Begins the next range, which has end_index - start_index images."""
        self._left = end_index - start_index

    def get_next(self) -> Optional[Dict[str, np.ndarray]]:
        """Returns {input: array} of the next image, or None at the end of the range."""
        if not self._left:
            return None
        self._left -= 1
        return dict(zip(self._inputs, next(self._examples)))


def layer_names(detector: Detector, keep: Sequence[str]) -> Set[str]:
    """Returns the names in ONNX of the layers of a Detector, except those to keep in float32.

    keep: patterns, see ``select``.

    The name of a node begins with the name of MXNet's operator, and ends with the number of the use
    of its layer. The set has a name for each of LAYER_OPS, although a layer is one of them.
    """
    with mx.name.NameManager():  # the same names as in ``convert``
        graph, _ = trace(detector.model, backend.NATIVE)
    layers = [node for node in graph.nodes() if node.op in LAYERS]
    scopes = [node.name for node in layers]
    name_layers(graph, detector.model)
    kept = select(graph, keep)
    names: Set[str] = set()
    uses: Counter[str] = Counter()
    for node, scope in zip(layers, scopes):
        uses[scope] += 1
        if node.name not in kept:
            names.update(f"{scope}/{op}_{uses[scope]}" for op in LAYER_OPS)
    return names


def clip_onnx_rectifiers(graph: Any) -> None:
    """Replaces min(relu(x), s) in an onnx.GraphProto by the Clip that the quantizer knows."""
    scalars = {constant.name for constant in graph.initializer if not constant.dims}
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
