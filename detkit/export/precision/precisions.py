"""The numbers that the layers of an exported network calculate with."""

import numpy as np

from detkit.export.graph.layer_names import name_layers
from detkit.export.manifest import ANY, BFLOAT16, FLOAT32, INT8
from detkit.export.precision.bf16 import to_bfloat16
from detkit.export.precision.calibrate import NAIVE
from detkit.export.precision.quantize import KEEP, quantize


class Float32:
    """As it was trained."""

    name, cpus = FLOAT32, None

    def convert(self, model, graph, parameters):
        """A Symbol and its parameters, of a network's simplified Graph and its parameters."""
        return graph.symbol(), parameters


class BFloat16:
    """16 bits, as ``to_bfloat16`` says; ``keep``: patterns of the layers that stay float32."""

    name, cpus = BFLOAT16, None

    def __init__(self, keep=()):
        self._keep = keep

    def convert(self, model, graph, parameters):
        """As Float32."""
        name_layers(graph, model)
        return to_bfloat16(graph, parameters, self._keep)


class Int8:
    """8 bits, as ``quantize`` says.

    examples: what ``examples_of`` gives. cpus: ANY or VNNI. report: the QuantizationReport, when it
    is converted.
    """

    name = INT8

    def __init__(self, examples, mode=NAIVE, keep=KEEP, cpus=ANY):
        self._examples, self._mode, self._keep, self.cpus = examples, mode, keep, cpus
        self.report = None

    def convert(self, model, graph, parameters):
        """As Float32."""
        name_layers(graph, model)
        symbol, parameters, self.report = quantize(
            graph, parameters, model.INPUTS, self._examples, self._mode, self._keep, self.cpus
        )
        return symbol, parameters


def examples_of(detector, dataset, count, proposals=None):
    """A Detector's inputs, one image each: up to ``count`` from all over a Dataset.

    proposals: {image_id: boxes (R, 4)} for a network that takes them.
    """
    positions = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int)
    for position in positions:
        given = []
        if proposals is not None:
            given = [[proposals[dataset.annotation(int(position)).image_id]]]
        batch = detector.batch([dataset.image(int(position))], *given)
        yield tuple(getattr(batch, name) for name in detector.model.INPUTS)
