"""Converts a detector's graph, node by node, from the images to the detections."""

import json
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

import detkit
from detkit.detector import Detector
from detkit.export.graph.graph import Graph, Node, Output, Place
from detkit.export.manifest_rules import CHANNELS, HEATMAPS
from detkit.export.onnx import detection, elementwise, layers, roi, shapes  # noqa: F401
from detkit.export.onnx.builder import Builder
from detkit.export.onnx.translate import Call, translate
from detkit.export.onnx_manifest import KEY, OnnxManifest
from detkit.export.symbol import inputs_of, resize_of, threshold_of, trace
from detkit.ops import backend
from detkit.typing import NDArray

SHAPES = {
    "images": ("B", 3, "H", "W"),
    "sizes": ("B", 2),
    "scales": ("B", 2),
    "proposals": ("B", "R", 4),
    "proposal_scores": ("B", "R"),
}
# The lengths for which shapes are inferred. There are two of each, because a side that differs is a
# free one, and they are so large that every list of boxes is full.
EXAMPLES = {"B": 1, "H": 1024, "W": 1024, "R": 1000}, {"B": 2, "H": 2048, "W": 1536, "R": 2000}


def converted(detector: Detector) -> Any:
    """Returns the onnx.ModelProto of a Detector; see detkit.export.onnx.convert."""
    with mx.name.NameManager():  # the names do not depend on the networks that were built before
        graph, parameters = trace(detector.model, backend.NATIVE)
    inputs = {name: SHAPES[name] for name in detector.model.INPUTS}
    builder = Builder(len(detector.foreground_names))
    arrays, larger = (Arrays(graph, inputs, example) for example in EXAMPLES)
    names = translated(builder, graph, parameters, arrays)
    outputs = {}
    named = dict(zip(detector.model.OUTPUTS, graph.outputs))
    for name, output in named.items():
        sides = enumerate(zip(arrays.shape(output), larger.shape(output)))
        free = ["B", *(f"{name}_{axis}" for axis in range(1, len(arrays.shape(output))))]
        shape = [free[axis] if side != large else side for axis, (side, large) in sides]
        outputs[name] = names[output.place], shape
    rows: Dict[str, List[Union[int, str]]]
    rows = {name: ["B", *arrays.shape(output)[1:]] for name, output in named.items()}
    return builder.model(inputs, outputs, _about(detector, rows))


def translated(
    builder: Builder, graph: Graph, parameters: Mapping[str, NDArray], arrays: "Arrays"
) -> Dict[Place, str]:
    """Adds a Graph to the builder and returns {place: its name in ONNX} of all outputs of nodes.

    parameters: {name: NDArray}. The other variables are inputs and keep their names.
    """
    names: Dict[Place, str] = {}
    for node in graph.nodes():
        if node.op is None:
            array = parameters.get(node.name)
            if array is not None:
                builder.parameter(node.name, array.asnumpy())
            names[node, 0] = node.name
            continue
        ranks = [len(arrays.shape(source)) for source in node.inputs]
        call = Call(node, ranks, arrays.dtype(node))
        outputs = translate(builder, call, [names[source.place] for source in node.inputs])
        names.update({(node, number): name for number, name in enumerate(outputs)})
    return names


class Arrays:
    """The shapes and types that MXNet infers for the arrays of a Graph.

    inputs: {name: shape}, with letters for free sides. sides: {letter: length}.
    """

    def __init__(
        self,
        graph: Graph,
        inputs: Mapping[str, Sequence[Union[int, str]]],
        sides: Mapping[str, int],
    ) -> None:
        read = {source.place: source for node in graph.nodes() for source in node.inputs}
        read.update({output.place: output for output in graph.outputs})
        symbol = graph.symbol(list(read.values()))
        given = {
            name: tuple(sides[side] if isinstance(side, str) else side for side in shape)
            for name, shape in inputs.items()
        }
        self._shapes = dict(zip(read, symbol.infer_shape(**given)[1]))
        types = symbol.infer_type(**dict.fromkeys(inputs, "float32"))[1]
        self._types = dict(zip(read, map(np.dtype, types)))

    def shape(self, output: Output) -> Tuple[int, ...]:
        """Returns the shape of an output that a node or the graph reads."""
        return self._shapes[output.place]

    def dtype(self, node: Node) -> np.dtype:
        """Returns numpy's type of the first output of a node; float32 if nothing reads it."""
        return self._types.get((node, 0), np.dtype("float32"))


def _about(detector: Detector, outputs: Mapping[str, Sequence[Union[int, str]]]) -> Dict[str, str]:
    """Returns the metadata: all that a program needs to use the network.

    The model returns all detections. A program that shows them drops those below the threshold.

    outputs: {name: shape}, with "B" for the number of images and the largest possible
        number of rows.
    """
    described: List[Dict[str, Any]] = [{"name": n, "shape": side} for n, side in outputs.items()]
    if described[-1]["name"] == HEATMAPS:
        described[-1]["skeleton"] = [list(limb) for limb in detector.skeleton]
    manifest = OnnxManifest(
        detkit=detkit.__version__,
        classes=list(detector.class_names),
        first_label=detector.first_label,
        inputs=inputs_of(detector),
        outputs=described,
        resize=resize_of(detector),
        pad_multiple=detector.pad_multiple,
        channels=CHANNELS,
        max_pixels=detector.max_pixels,
        threshold=threshold_of(detector),
    )
    chosen = manifest.threshold
    return {
        KEY: manifest.text(),
        # These are older; programs that other people wrote may read them.
        **({} if chosen is None else {"threshold": json.dumps(chosen)}),
        "classes": json.dumps(list(detector.class_names), ensure_ascii=False),
        "first_label": str(detector.first_label),
        "pad_multiple": str(detector.pad_multiple),
    }
