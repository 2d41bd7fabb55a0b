"""The share of calls in which a sampler draws each box."""

import mxnet as mx
import numpy as np

CALLS = 2000


def share_drawn(sampler, *rows, calls=CALLS):
    """The share of calls in which each box is drawn; rows (N,) are the labels and what is needed.

    All images of a call share its random numbers, so that one call with many images shows nothing.
    """
    inputs = [mx.nd.array(np.reshape(row, (1, -1))) for row in rows]
    sampler.hybridize()
    mx.random.seed(0)
    return np.mean([sampler(*inputs).asnumpy()[0] >= 0 for _ in range(calls)], axis=0)
