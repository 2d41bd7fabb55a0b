"""INT8: a graph whose layers calculate with 8-bit numbers, on a CPU by oneDNN."""

import itertools

from detkit.errors import ExportError
from detkit.export.graph.fusion import fuse
from detkit.export.graph.layer_names import FINAL, FIRST, select
from detkit.export.manifest import ANY, VNNI
from detkit.export.precision.calibrate import NAIVE, calibrate, runner
from detkit.export.precision.int8 import halved, saturating, sums_in_place, tensors, to_int8
from detkit.export.precision.layer_errors import QuantizationReport, layer_errors

KEEP = (FIRST, FINAL)


def quantize(graph, parameters, inputs, examples, mode=NAIVE, keep=KEEP, cpus=ANY):
    """A simplified Graph in INT8: a Symbol, its parameters {name: NDArray} and a
    QuantizationReport.

    graph: its layers have been named by ``name_layers``; it is used up. parameters: its own.
    inputs: the names of its inputs. examples: tuples of arrays for them, one for each image of the
        calibration; they are gone through once.
    mode: "naive" or "entropy", as ``calibrate`` says.
    keep: patterns of the layers that stay float32, as ``select`` says.
    cpus: ANY, right on every CPU; VNNI, a bit more precise on those that have it, with wrong sums
        on others, as ``saturating`` says.

    What is no layer stays float32 too: the decoding of boxes, NMS, the operators of RoIs. So do
    the weights in the file: oneDNN rounds them, each output channel on a scale of its own, when it
    sees them first.

    Raises ExportError for an MXNet without oneDNN, and the errors of ``calibrate`` and ``select``.
    """
    kept = select(graph, keep)
    fused = fuse(graph)
    found = tensors(fused, parameters)
    examples = iter(examples)
    first = list(itertools.islice(examples, 1))
    run = runner(fused.symbol(list(found.values())), parameters, inputs)
    ranges = calibrate(run, list(found), itertools.chain(first, examples), mode)
    halves, impossible = sums_in_place(fused, found, ranges)
    kept |= impossible
    if cpus != VNNI:
        halves |= saturating(fused, parameters, found, kept)
    ranges = halved(ranges, halves)
    errors = layer_errors(fused, parameters, kept, ranges, inputs, *first)
    if not errors:
        raise ExportError(f"no layer is left for INT8: {', '.join(keep)} keep all; keep fewer")
    symbol, used = to_int8(fused, parameters, kept, ranges)
    return symbol, used, QuantizationReport(mode, sorted(kept), errors)
