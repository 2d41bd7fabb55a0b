"""What a network answers, as numpy, and whether two answers agree."""

import mxnet as mx
import numpy as np

NAMES = ("boxes", "scores", "labels")


def detect(model, pixels, sizes):
    return [array.asnumpy() for array in model(mx.nd.array(pixels), mx.nd.array(sizes))]


def assert_same(found, expected):
    for name, a, b in zip(NAMES, found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3, err_msg=name)
