"""A detector's graph, walked from the images to the detections."""

import json

import mxnet as mx
import numpy as np

from detkit.export.graph import Graph
from detkit.export.onnx import detection, elementwise, layers, roi, shapes  # noqa: F401
from detkit.export.onnx.builder import Builder
from detkit.export.onnx.translate import Call, translate
from detkit.export.simplify import simplify
from detkit.ops import backend

SHAPES = {
    "images": ("B", 3, "H", "W"),
    "sizes": ("B", 2),
    "proposals": ("B", "R", 4),
    "proposal_scores": ("B", "R"),
}
EXAMPLE = {"B": 1, "H": 1024, "W": 1024, "R": 1000}  # so large that every list of boxes is full
OUTPUTS = ("boxes", "scores", "labels", "masks")


def converted(detector):
    """See detkit.export.onnx.convert."""
    model = detector.model
    graph, parameters = _traced(model)
    parameters = simplify(graph, parameters)
    inputs = {name: SHAPES[name] for name in model.INPUTS}
    known = _known(graph, inputs)
    builder = Builder(len(detector.foreground_names))
    names = {}  # (node, index) -> the name of that output in ONNX
    for node in graph.nodes():
        if node.op is None:
            given = node.name in inputs
            names[node, 0] = (
                node.name
                if given
                else builder.parameter(node.name, parameters[node.name].asnumpy())
            )
            continue
        sources = [source[:2] for source in node.inputs]
        ranks = [len(known[source][0]) for source in sources]
        call = Call(node, ranks, known.get((node, 0), (None, np.dtype("float32")))[1])
        found = translate(builder, call, [names[source] for source in sources])
        names.update({(node, index): name for index, name in enumerate(found)})
    outputs = {
        name: (names[output[:2]], ["B", *known[output[:2]][0][1:]])
        for name, output in zip(OUTPUTS, graph.outputs)
    }
    return builder.model(inputs, outputs, _about(detector))


def _traced(model):
    """The Graph of a network made of detkit's own operators, and its parameters by name."""
    with backend.using(backend.NATIVE), mx.name.NameManager():
        outputs = model(*map(mx.sym.var, model.INPUTS))
    parameters = model.collect_params().values()
    context = mx.cpu()
    arrays = {each.name: each.data().as_in_context(context) for each in parameters}
    return Graph(mx.sym.Group(list(outputs))), arrays


def _known(graph, inputs):
    """{(node, index): (shape for EXAMPLE, type)} of every array that something reads."""
    read = {source[:2]: source for node in graph.nodes() for source in node.inputs}
    read.update({output[:2]: output for output in graph.outputs})
    symbol = graph.symbol(list(read.values()))
    example = {
        name: tuple(EXAMPLE.get(side, side) for side in shape) for name, shape in inputs.items()
    }
    _, found, _ = symbol.infer_shape(**example)
    _, types, _ = symbol.infer_type(**dict.fromkeys(inputs, "float32"))
    return {place: (shape, np.dtype(kind)) for place, shape, kind in zip(read, found, types)}


def _about(detector):
    """What a program needs to know of the detector beside the arrays."""
    return {
        "classes": json.dumps(list(detector.class_names), ensure_ascii=False),
        "first_label": str(detector.first_label),
        "pad_multiple": str(detector.pad_multiple),
    }
