"""Calibration: finds the range of every 8-bit tensor from images."""

from typing import Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from detkit.errors import ExportError
from detkit.typing import NDArray, Symbol

NAIVE, ENTROPY = "naive", "entropy"
LEAST = 1e-6  # the length of the range of a tensor of zeros
BINS = 2048
STEP = 8  # bins between two thresholds that are tried
NO_IMAGE = "calibration: expected at least one image, found none; use a larger dataset"
LEVELS = {True: 127, False: 255}  # magnitudes of 8-bit numbers with a sign (True) and without

Range = Tuple[float, float]
Example = Tuple[np.ndarray, ...]  # the inputs of a network for one image
Run = Callable[..., Sequence[NDArray]]


def calibrate(
    run: Run, names: Sequence[str], inputs: Iterable[Example], mode: str = NAIVE
) -> Dict[str, Range]:
    """Returns {name: (smallest, largest)} of tensors, the range that 8 bits represent.

    run: a function of an example's arrays that returns the tensors ``names``. The tensors of one
        example at a time are in memory.
    mode: "naive" takes the smallest and the largest value. "entropy" takes a smaller range if the
        loss of the few values beyond it is less than the gain in the precision of the others
        (Migacz 2017, 8-bit Inference with TensorRT).

    Raises ExportError for values that are not finite, and if there are no inputs.
    """
    collectors = {name: Collector(mode == ENTROPY) for name in names}
    count = 0
    for count, example in enumerate(inputs, start=1):
        for name, array in zip(names, run(*example)):
            values = array.asnumpy()
            if not np.isfinite(values).all():
                raise ExportError(
                    f"calibration, image {count}: {name}: expected finite values, found NaN or "
                    "infinity; check the weights and the image"
                )
            collectors[name].add(values)
    if not count:
        raise ExportError(NO_IMAGE)
    return {name: collector.range() for name, collector in collectors.items()}


class Collector:
    """The limits of one tensor and, if ``counting``, a histogram of its magnitudes."""

    def __init__(self, counting: bool) -> None:
        self.smallest, self.largest = float("inf"), float("-inf")
        self._counts: Optional[np.ndarray] = np.zeros(BINS, "int64") if counting else None
        self._end = 0.0  # of the histogram

    def add(self, values: np.ndarray) -> None:
        """Adds the values of one more image."""
        self.smallest = min(self.smallest, float(values.min()))
        self.largest = max(self.largest, float(values.max()))
        if self._counts is not None:
            self._counts = self._widened(self._counts, max(self.largest, -self.smallest, LEAST))
            self._counts += np.histogram(np.abs(values), BINS, (0, self._end))[0]

    def range(self) -> Range:
        """Returns (smallest, largest), the range to represent. It includes 0."""
        signed = self.smallest < 0
        if self._counts is not None:
            edge = threshold(self._counts, LEVELS[signed]) * self._end
            return (-edge if signed else 0.0), edge
        return min(self.smallest, 0.0), max(self.largest, 0.0, LEAST)

    def _widened(self, counts: np.ndarray, magnitude: float) -> np.ndarray:
        """Returns the histogram with room for ``magnitude``; bins are joined in pairs."""
        self._end = self._end or magnitude
        while self._end < magnitude:
            joined = counts.reshape(-1, 2).sum(axis=1)
            counts = np.concatenate([joined, np.zeros_like(joined)])
            self._end *= 2
        return counts


def threshold(counts: np.ndarray, levels: int) -> float:
    """Returns the share of a histogram's width at which to cut it, for the smallest divergence.

    counts: a histogram of magnitudes that begins at 0. levels: the number of magnitudes that 8 bits
        represent below the cut.
    """
    counts = counts.astype("float64")
    counts[0] = counts[1]  # zero is exact at every scale, and its count would hide the others
    last = int(np.flatnonzero(counts).max(initial=0)) + 1
    ends = list(range(levels + 1, last, STEP)) + [max(last, levels + 1)]
    divergences = [_divergence(counts, end, levels) for end in ends]
    return min(ends[int(np.argmin(divergences))], len(counts)) / len(counts)


def _divergence(counts: np.ndarray, end: int, levels: int) -> float:
    """Returns the Kullback-Leibler divergence of values cut at bin ``end`` from their rounding."""
    inside = counts[:end]
    actual = inside.copy()
    actual[-1] += counts[end:].sum()
    starts = np.arange(levels) * end // levels
    filled = inside > 0
    per_bin = np.add.reduceat(inside, starts) / np.maximum(np.add.reduceat(filled, starts), 1)
    represented = np.repeat(per_bin, np.diff(np.append(starts, end))) * filled
    if not represented.any():
        return float("inf")
    actual, represented = actual / actual.sum(), represented / represented.sum()
    some = actual > 0
    return float(np.sum(actual[some] * np.log(actual[some] / np.maximum(represented[some], 1e-9))))


def runner(symbol: Symbol, parameters: Mapping[str, NDArray], inputs: Sequence[str]) -> Run:
    """Returns a function that evaluates a Symbol for arrays, in the order of the names ``inputs``.

    Inputs that the Symbol does not read are ignored, because a SymbolBlock would refuse them.
    """
    names = set(symbol.list_inputs())
    read = [position for position, name in enumerate(inputs) if name in names]
    variables = [mx.sym.var(inputs[position], dtype="float32") for position in read]
    block = mx.gluon.SymbolBlock(symbol, variables)
    for name, parameter in block.collect_params().items():
        parameter.initialize(ctx=mx.cpu())
        parameter.set_data(parameters[name])
    block.hybridize(static_alloc=True)

    def run(*arrays: np.ndarray) -> List[NDArray]:
        outputs = block(*(mx.nd.array(arrays[position]) for position in read))
        return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]

    return run
