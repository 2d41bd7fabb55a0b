"""The multiply-adds of tools/zoo.py, counted by hand."""

import mxnet as mx
import pytest
from mxnet.gluon import nn

from detkit.models.layers import Conv2D
from support import tiny

multiply_adds = tiny.module_of("zoo").multiply_adds


class Twice(nn.HybridSequential):
    """One convolution over two sizes, a deconvolution and a layer over all of it."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.conv = nn.Conv2D(8, 3, padding=1, groups=2, in_channels=4)
            self.double = nn.Conv2DTranspose(4, 2, strides=2, in_channels=8)
            self.dense = nn.Dense(5, in_units=4 * 12 * 20)

    def hybrid_forward(self, F, x):
        once = self.double(self.conv(x))  # (2, 4, 12, 20)
        return self.conv(once), self.dense(F.flatten(once))


def test_each_call_of_a_layer_counts():
    model = Twice()
    model.initialize(mx.init.Xavier())
    first, second = 2 * 8 * 6 * 10 * (2 * 9), 2 * 8 * 12 * 20 * (2 * 9)
    double, dense = 2 * 8 * 6 * 10 * (4 * 4), 2 * 5 * (4 * 12 * 20)
    assert multiply_adds(model, {"x": (2, 4, 6, 10)}) == first + second + double + dense


@pytest.mark.parametrize(
    ("kernel", "groups", "filters"), [(3, 1, 4 * 9), (1, 1, 4), (3, 4, 9)], ids=str
)
def test_detkits_own_convolutions_count(own_convolutions, kernel, groups, filters):
    model = Conv2D(4, kernel, padding=kernel // 2, groups=groups, in_channels=4)
    model.initialize(mx.init.Xavier())
    assert multiply_adds(model, {"x": (2, 4, 6, 10)}) == 2 * 4 * 6 * 10 * filters
