"""A detector's graph, walked from the images to the detections."""

import json

import mxnet as mx
import numpy as np

from detkit.export.onnx import detection, elementwise, layers, roi, shapes  # noqa: F401
from detkit.export.onnx.builder import Builder
from detkit.export.onnx.translate import Call, translate
from detkit.export.symbol import OUTPUTS, trace
from detkit.ops import backend

SHAPES = {
    "images": ("B", 3, "H", "W"),
    "sizes": ("B", 2),
    "proposals": ("B", "R", 4),
    "proposal_scores": ("B", "R"),
}
# What shapes are inferred for: two, so as to see which sides are free, and so large that every list
# of boxes is full.
EXAMPLES = {"B": 1, "H": 1024, "W": 1024, "R": 1000}, {"B": 2, "H": 2048, "W": 1536, "R": 2000}


def converted(detector):
    """See detkit.export.onnx.convert."""
    with mx.name.NameManager():  # the same names however many networks there are
        graph, parameters = trace(detector.model, backend.NATIVE)
    inputs = {name: SHAPES[name] for name in detector.model.INPUTS}
    builder = Builder(len(detector.foreground_names))
    arrays, other = (Arrays(graph, inputs, example) for example in EXAMPLES)
    names = translated(builder, graph, parameters, arrays)
    outputs = {}
    for name, output in zip(OUTPUTS, graph.outputs):
        sides = enumerate(zip(arrays.shape(output), other.shape(output)))
        free = ["B", *(f"{name}_{axis}" for axis in range(1, len(arrays.shape(output))))]
        shape = [free[axis] if side != large else side for axis, (side, large) in sides]
        outputs[name] = names[output[:2]], shape
    return builder.model(inputs, outputs, _about(detector))


def translated(builder, graph, parameters, arrays):
    """{(node, index): its name in ONNX} of all outputs of a Graph, added to the builder.

    parameters: {name: NDArray}; other variables are inputs, and keep their names.
    """
    names = {}
    for node in graph.nodes():
        if node.op is None:
            array = parameters.get(node.name)
            if array is not None:
                builder.parameter(node.name, array.asnumpy())
            names[node, 0] = node.name
            continue
        ranks = [len(arrays.shape(source)) for source in node.inputs]
        call = Call(node, ranks, arrays.dtype(node))
        found = translate(builder, call, [names[source[:2]] for source in node.inputs])
        names.update({(node, index): name for index, name in enumerate(found)})
    return names


class Arrays:
    """What MXNet infers of a Graph's arrays for inputs {name: shape}, ``sides`` filled in."""

    def __init__(self, graph, inputs, sides):
        read = {source[:2]: source for node in graph.nodes() for source in node.inputs}
        read.update({output[:2]: output for output in graph.outputs})
        symbol = graph.symbol(list(read.values()))
        given = {
            name: tuple(sides.get(side, side) for side in shape) for name, shape in inputs.items()
        }
        self._shapes = dict(zip(read, symbol.infer_shape(**given)[1]))
        types = symbol.infer_type(**dict.fromkeys(inputs, "float32"))[1]
        self._types = dict(zip(read, map(np.dtype, types)))

    def shape(self, output):
        """Of an output that something reads."""
        return self._shapes[output[:2]]

    def dtype(self, node):
        """numpy's type of the first of a node's outputs; float32 if nothing reads it."""
        return self._types.get((node, 0), np.dtype("float32"))


def _about(detector):
    """What a program needs to know of the detector beside the arrays."""
    return {
        "classes": json.dumps(list(detector.class_names), ensure_ascii=False),
        "first_label": str(detector.first_label),
        "pad_multiple": str(detector.pad_multiple),
    }
