"""Blocks for tests: a function of F and arrays as a block, and random numbers for parameters."""

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock


class FunctionBlock(HybridBlock):
    """A function of F and arrays as a block."""

    def __init__(self, function):
        super().__init__()
        self._function = function

    def hybrid_forward(self, F, *arrays):
        return self._function(F, *arrays)


def with_random_numbers(net, seed, most):
    """A net with random parameters up to ``most``, the same for every net of the same layers."""
    net.initialize()
    rng = np.random.default_rng(seed)
    for name, parameter in net._collect_params_with_prefix().items():
        low = 0.5 if "var" in name else -1
        parameter.set_data(mx.nd.array(rng.uniform(low, most, parameter.shape)))
    return net
