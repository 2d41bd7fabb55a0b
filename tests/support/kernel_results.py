"""The results of operators as numpy arrays, and how they compare with those of an oracle."""

import mxnet as mx
import numpy as np


def on_device(array):
    """An NDArray of a numpy array; None stays None."""
    return None if array is None else mx.nd.array(array)


def numpy(arrays):
    """The NDArrays of several outputs as numpy arrays."""
    return [array.asnumpy() for array in arrays]


def assert_same(found, expected, **tolerance):
    """NDArrays agree with the fields of an oracle's NamedTuple, their types included."""
    for name, a, b in zip(expected._fields, numpy(found), expected):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, err_msg=name, **tolerance)
