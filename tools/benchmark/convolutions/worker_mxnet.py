"""The worker of tools/benchmark_convs.py that runs detkit's convolutions, or MXNet's."""

import ctypes
import math
from typing import Any, Dict, Sequence

import detkit  # isort: skip  before MXNet

import mxnet as mx
import numpy as np
from mxnet import autograd
from mxnet.gluon import nn

from benchmark.convolutions.worker import Answers, Inputs, TimedChain
from benchmark.detectors.worker import answer
from benchmark.operators.timing import machine_rates, seconds_of
from detkit.models.layers import Conv2D
from detkit.ops import backend

OPERATOR = "detkit_conv3x3"
SIDE = 2048  # of the matrices and arrays whose rates are measured
COUNT = 7  # measurements of a rate


class ExportedConv2D(nn.Conv2D):
    """The convolution that an export has: it keeps what it makes of its weights."""

    def hybrid_forward(self, F: Any, x: Any, weight: Any, bias: Any) -> Any:
        """Returns maps (B, C', H, W) of x (B, C, H, W)."""
        options = {"no_bias": False, "relu": False, "most": math.inf, "bfloat16": False}
        return getattr(F, OPERATOR)(x, weight, bias, keeps=True, **options)


class MXNetChain(TimedChain):
    """A compiled block of Gluon's layers or of detkit's; without a gradient, as in an export."""

    def __init__(self, form: str, inputs: Inputs):
        backend.choose("native")
        own = ExportedConv2D if inputs.gradient is None else Conv2D
        layer_type = own if form == "detkit" else nn.Conv2D
        self.block = nn.HybridSequential()
        for weights, _ in inputs.kernels:
            after, before = weights.shape[:2]
            self.block.add(layer_type(after, 3, padding=1, in_channels=before))
        self.block.initialize()
        for layer, (weights, bias) in zip(self.block, inputs.kernels):
            layer.weight.set_data(mx.nd.array(weights))
            layer.bias.set_data(mx.nd.array(bias))
        if (OPERATOR in self.block(mx.sym.var("data")).tojson()) != (form == "detkit"):
            raise ValueError(f"expected {OPERATOR} in detkit's graph alone; unset DETKIT_CONV")
        self.block.hybridize(static_alloc=True, static_shape=True)
        self.data = mx.nd.from_numpy(inputs.data)
        self.gradient = None if inputs.gradient is None else mx.nd.from_numpy(inputs.gradient)
        if self.gradient is not None:
            self.data.attach_grad()

    def run(self) -> Any:
        """Runs the block, backward too if there is a gradient; returns its output."""
        if self.gradient is None:
            out = self.block(self.data)
        else:
            with autograd.record():
                out = self.block(self.data)
            out.backward(self.gradient)
        mx.nd.waitall()
        return out

    def arrays(self, result: Any) -> Dict[str, np.ndarray]:
        if self.gradient is None:
            return {"output": result.asnumpy()}
        first, last = (self.block[n].weight.grad().asnumpy() for n in (0, -1))
        return {"data": self.data.grad.asnumpy(), "first": first, "last": last}


class Convolution(ctypes.Structure):
    """DetkitConv3x3 of detkit/ops/native/kernels_conv.h."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("images", "in_channels", "out_channels")),
        *((name, ctypes.c_int) for name in ("height", "width", "relu")),
        ("most", ctypes.c_float),
        *((name, ctypes.c_int) for name in ("bfloat16", "keeps", "pools")),
    ]


class MXNetAnswers(Answers):
    """The requests of all workers, and those about the machine and the compiled library."""

    def rates(self) -> Dict[str, float]:
        """Returns the "bytes" (read and written) and "operations" (multiply-adds) a second.

        They are the highest that numpy or MXNet reaches, on all threads.
        """
        ones, out = mx.nd.ones((SIDE, SIDE)), mx.nd.zeros((SIDE, SIDE))
        large, copied = mx.nd.ones((8 * SIDE, SIDE)), mx.nd.zeros((8 * SIDE, SIDE))
        multiply = {"no_bias": True, "num_hidden": SIDE, "out": out}
        products = shortest(lambda: mx.nd.FullyConnected(ones, ones, **multiply))
        copies = shortest(lambda: mx.nd.abs(large, out=copied))
        found = {"bytes": 2 * 4 * large.size / copies, "operations": SIDE**3 / products}
        return {name: max(rate, found[name]) for name, rate in machine_rates().items()}

    def workspace(self, chains: Sequence[Sequence[Any]], batch: int) -> Dict[str, int]:
        """Returns the bytes that detkit's operator works in: "forward" and "backward".

        They are those of the convolution that needs most. chains: see ``load``.
        """
        library = ctypes.CDLL(backend.choose("native").reason)
        most = {"forward": 0, "backward": 0}
        for channels, height, width in chains:
            for before, after in zip(channels, channels[1:]):
                conv = Convolution(batch, before, after, height, width, 0, 0.0, 0, 0, 0)
                found = [ctypes.c_int64() for _ in most]
                library.detkit_conv3x3_workspace(ctypes.byref(conv), *map(ctypes.byref, found))
                most = {name: max(most[name], each.value) for name, each in zip(most, found)}
        return most


def shortest(call: Any) -> float:
    """Returns the least seconds of COUNT calls of an operator of MXNet."""
    return min(seconds_of(lambda: call().wait_to_read()) for _ in range(COUNT))


if __name__ == "__main__":
    answer(MXNetAnswers(MXNetChain, {"detkit": detkit.__version__, "mxnet": mx.__version__}))
