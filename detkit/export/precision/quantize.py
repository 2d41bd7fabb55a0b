"""INT8: converts a graph so that its layers calculate with 8-bit numbers, on a CPU by oneDNN.

Operators that are no layers stay float32: the decoding of boxes, NMS, RoI operators. So do the
weights in the file, which oneDNN rounds with a scale for each output channel.
"""

import itertools
from typing import Dict, Iterable, Optional, Sequence, Tuple

from detkit.export.graph.fusion import fuse
from detkit.export.graph.graph import Graph
from detkit.export.graph.layer_names import FINAL, FIRST, no_layer_left, select
from detkit.export.manifest import ANY, VNNI
from detkit.export.precision.calibrate import NAIVE, Example, calibrate, runner
from detkit.export.precision.int8 import (
    sums_in_place,
    tensors_of,
    tensors_that_saturate,
    to_int8,
    with_half_ranges,
)
from detkit.export.precision.layer_errors import QuantizationReport, layer_errors
from detkit.typing import NDArray, Symbol

KEEP = (FIRST, FINAL)


def quantize(
    graph: Graph,
    parameters: Dict[str, NDArray],
    inputs: Sequence[str],
    examples: Iterable[Example],
    mode: str = NAIVE,
    keep: Sequence[str] = KEEP,
    cpus: Optional[str] = ANY,
) -> Tuple[Symbol, Dict[str, NDArray], QuantizationReport]:
    """Returns the Symbol of a simplified Graph in INT8, its parameters and a QuantizationReport.

    graph: with layers named by ``name_layers``; it is changed. parameters: {name: NDArray}.
    inputs: the names of the graph's inputs. examples: a tuple of arrays for them for each image of
        the calibration; they are read once.
    mode: "naive" or "entropy", see ``calibrate``.
    keep: patterns of the layers that stay float32, see ``select``.
    cpus: ANY, exact sums on every CPU; VNNI, more precise on CPUs with VNNI, with wrong sums on the
        others, see ``tensors_that_saturate``.

    Raises ExportError if MXNet is built without oneDNN or no layer is left, and the errors of
    ``calibrate`` and ``select``.
    """
    kept = select(graph, keep)
    fused = fuse(graph)
    examples = iter(examples)
    first = list(itertools.islice(examples, 1))
    tensors = tensors_of(fused, parameters)
    run = runner(fused.symbol(list(tensors.values())), parameters, inputs)
    ranges = calibrate(run, list(tensors), itertools.chain(first, examples), mode)
    halves, impossible = sums_in_place(fused, tensors, ranges)
    kept |= impossible
    if cpus != VNNI:
        halves |= tensors_that_saturate(fused, parameters, tensors, kept)
    ranges = with_half_ranges(ranges, halves)
    errors = layer_errors(fused, parameters, kept, ranges, inputs, *first)
    if not errors:
        raise no_layer_left("INT8", keep)
    symbol, used = to_int8(fused, parameters, kept, ranges)
    return symbol, used, QuantizationReport(mode, sorted(kept), errors)
