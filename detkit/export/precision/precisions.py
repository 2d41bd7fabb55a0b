"""The precisions that the layers of an exported network can calculate with."""

from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Protocol, Sequence, Tuple

import numpy as np
from mxnet.gluon import HybridBlock

from detkit.data.sample import Dataset
from detkit.detector import Detector
from detkit.export.graph.convolutions import use_own_convolutions
from detkit.export.graph.graph import Graph
from detkit.export.graph.layer_names import LAYERS, name_layers, no_layer_left, select
from detkit.export.manifest import ANY, BFLOAT16, FLOAT32, INT8
from detkit.export.precision.bf16 import require_bfloat16, to_bfloat16
from detkit.export.precision.calibrate import NAIVE, Example
from detkit.export.precision.layer_errors import QuantizationReport
from detkit.export.precision.quantize import KEEP, quantize
from detkit.typing import NDArray, Symbol


class Precision(Protocol):
    """A precision of the layers.

    name: FLOAT32, BFLOAT16 or INT8. cpus: the CPUs that INT8 is for, ANY or VNNI, otherwise None.
    """

    name: str
    cpus: Optional[str]

    def convert(
        self, model: HybridBlock, graph: Graph, parameters: Dict[str, NDArray], own: bool
    ) -> Tuple[Symbol, Dict[str, NDArray]]:
        """Returns the Symbol and the parameters of a network in this precision.

        graph: the simplified Graph of ``model``, which may be changed. parameters: those of it.
        own: whether the folder has detkit's convolutions, which run on a CPU.
        """


class Float32:
    """The precision of the training: nothing is converted."""

    name: str = FLOAT32
    cpus: Optional[str] = None

    def convert(
        self, model: HybridBlock, graph: Graph, parameters: Dict[str, NDArray], own: bool
    ) -> Tuple[Symbol, Dict[str, NDArray]]:
        """Returns the Symbol of the graph and its parameters; see Precision."""
        if own:
            use_own_convolutions(graph, parameters)
        return graph.symbol(), parameters


class BFloat16:
    """Layers whose factors have 16 bits: detkit's convolutions, or MXNet's layers.

    detkit's convolutions multiply in bfloat16 and keep float32 between the layers. The other layers
    stay float32 beside them. Without them, see ``to_bfloat16``.

    keep: patterns of the layers that stay float32, see ``select``.
    """

    name: str = BFLOAT16
    cpus: Optional[str] = None

    def __init__(self, keep: Sequence[str] = ()) -> None:
        self._keep = keep

    def convert(
        self, model: HybridBlock, graph: Graph, parameters: Dict[str, NDArray], own: bool
    ) -> Tuple[Symbol, Dict[str, NDArray]]:
        """Returns the Symbol and the parameters in bfloat16; see Precision.

        Raises ExportError if no layer is left, and on a CPU without bfloat16.
        """
        require_bfloat16()
        name_layers(graph, model)
        if not own:
            return to_bfloat16(graph, parameters, self._keep)
        kept = select(graph, self._keep)
        layers = {node.name for node in graph.nodes() if node.op in LAYERS} - set(kept)
        if not layers:
            raise no_layer_left("bfloat16", self._keep)
        use_own_convolutions(graph, parameters, layers)
        return graph.symbol(), parameters


class Int8:
    """Layers of 8 bits, see ``quantize``.

    examples: the images of the calibration, from ``examples_of``. mode: "naive" or "entropy", see
        ``calibrate``. keep: patterns of the layers that stay float32, see ``select``. cpus: ANY or
        VNNI. report: the QuantizationReport after ``convert``, None before.
    """

    name: str = INT8

    def __init__(
        self,
        examples: Iterable[Example],
        mode: str = NAIVE,
        keep: Sequence[str] = KEEP,
        cpus: str = ANY,
    ) -> None:
        self._examples, self._mode, self._keep = examples, mode, keep
        self.cpus: Optional[str] = cpus
        self.report: Optional[QuantizationReport] = None

    def convert(
        self, model: HybridBlock, graph: Graph, parameters: Dict[str, NDArray], own: bool
    ) -> Tuple[Symbol, Dict[str, NDArray]]:
        """Returns the Symbol and the parameters in INT8, and sets ``report``; see Precision."""
        name_layers(graph, model)
        symbol, parameters, self.report = quantize(
            graph, parameters, model.INPUTS, self._examples, self._mode, self._keep, self.cpus
        )
        return symbol, parameters


def examples_of(
    detector: Detector,
    dataset: Dataset,
    count: int,
    proposals: Optional[Mapping[Any, np.ndarray]] = None,
) -> Iterator[Example]:
    """Yields a Detector's inputs for up to ``count`` images, spread evenly over a Dataset.

    proposals: {image_id: boxes (R, 4)} for a network that takes them.
    """
    positions = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int)
    for position in positions:
        given: List[Any] = []
        if proposals is not None:
            given = [[proposals[dataset.annotation(int(position)).image_id]]]
        batch = detector.batch([dataset.image(int(position))], *given)
        yield tuple(getattr(batch, name) for name in detector.model.INPUTS)
