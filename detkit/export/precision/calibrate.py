"""Calibration: the range of every tensor that becomes whole numbers, from images."""

import mxnet as mx
import numpy as np

from detkit.errors import ExportError

NAIVE, ENTROPY = "naive", "entropy"
LEAST = 1e-6  # of a range: the layer gave nothing but zeros
BINS = 2048
STEP = 8  # bins between one threshold that is tried and the next
LEVELS = {True: 127, False: 255}  # magnitudes, of numbers with a sign and without


def calibrate(run, names, inputs, mode=NAIVE):
    """{name: (smallest, largest)} of tensors, to be spread over 8 bits.

    run: a function of one input, (images, sizes), that returns the arrays of ``names``. All
        tensors of one input are in memory at a time, no more.
    mode: "naive", the smallest and largest value; "entropy", a smaller range where the few values
        beyond it cost less than the precision of the others gains (Migacz 2017, 8-bit Inference
        with TensorRT).

    Raises ExportError for values that are not finite, and when there are no inputs.
    """
    collectors = {name: Collector(mode == ENTROPY) for name in names}
    count = 0
    for count, example in enumerate(inputs, start=1):
        for name, array in zip(names, run(*example)):
            values = array.asnumpy()
            if not np.isfinite(values).all():
                raise ExportError(f"{name}: not finite for image {count} of the calibration")
            collectors[name].add(values)
    if not count:
        raise ExportError("no image to calibrate with; expected at least one")
    return {name: collector.range() for name, collector in collectors.items()}


class Collector:
    """What is known of one tensor: its limits and, if ``counting``, a histogram of magnitudes."""

    def __init__(self, counting):
        self.smallest, self.largest = float("inf"), float("-inf")
        self._counts = np.zeros(BINS, "int64") if counting else None
        self._end = None  # of the histogram

    def add(self, values):
        """Take the values of one more image into account."""
        self.smallest = min(self.smallest, float(values.min()))
        self.largest = max(self.largest, float(values.max()))
        if self._counts is not None:
            self._widen(max(self.largest, -self.smallest, LEAST))
            self._counts += np.histogram(np.abs(values), BINS, (0, self._end))[0]

    def range(self):
        """(smallest, largest) to be represented; a tensor that is never negative begins at 0."""
        signed = self.smallest < 0
        if self._counts is not None:
            edge = threshold(self._counts, LEVELS[signed]) * self._end
            return (-edge if signed else 0.0), edge
        return min(self.smallest, 0.0), max(self.largest, 0.0, LEAST)

    def _widen(self, magnitude):
        """Make room for ``magnitude``: bins are joined in pairs, which loses no count."""
        self._end = self._end or magnitude
        while self._end < magnitude:
            joined = self._counts.reshape(-1, 2).sum(axis=1)
            self._counts = np.concatenate([joined, np.zeros_like(joined)])
            self._end *= 2


def threshold(counts, levels):
    """The share of a histogram's width at which to cut it, for the least divergence.

    counts: of magnitudes, beginning at 0. levels: how many magnitudes there are below the cut.
    """
    counts = counts.astype("float64")
    counts[0] = counts[1]  # zero is exact at every scale, and would hide the rest
    last = int(np.flatnonzero(counts).max(initial=0)) + 1
    ends = list(range(levels + 1, last, STEP)) + [max(last, levels + 1)]
    divergences = [_divergence(counts, end, levels) for end in ends]
    return min(ends[int(np.argmin(divergences))], len(counts)) / len(counts)


def _divergence(counts, end, levels):
    """Kullback and Leibler's, of values cut at bin ``end`` from what the levels make of them."""
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


def runner(symbol, parameters, inputs):
    """A function that evaluates a Symbol: arrays by the names ``inputs``, in order -> NDArrays.

    Those of the inputs that the Symbol does not read are ignored: a block refuses them.
    """
    names = set(symbol.list_inputs())
    read = [position for position, name in enumerate(inputs) if name in names]
    variables = [mx.sym.var(inputs[position], dtype="float32") for position in read]
    block = mx.gluon.SymbolBlock(symbol, variables)
    for name, parameter in block.collect_params().items():
        parameter.initialize(ctx=mx.cpu())
        parameter.set_data(parameters[name])
    block.hybridize(static_alloc=True)

    def run(*arrays):
        outputs = block(*(mx.nd.array(arrays[position]) for position in read))
        return outputs if isinstance(outputs, (list, tuple)) else [outputs]

    return run
