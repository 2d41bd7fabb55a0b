"""The RoI head that halves the RoI's resolution first."""

import mxnet as mx
import numpy as np
import pytest

from detkit.models.roi_heads import FCHead, PooledFCHead
from support import backbones
from support.patches import patches


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("size", [5, 6])
def test_every_second_cell_of_a_3x3_mean_comes_before_the_layers_of_fc_head(size, hybridized):
    head = backbones.fill(PooledFCHead(4, size, 2, hidden=[7]))
    fc = backbones.fill(FCHead(4, 3, 2, hidden=[7], dropout=0))
    features = np.random.RandomState(0).standard_normal((2, 4, size, size)).astype("float32")
    padded = np.pad(features, ((0, 0), (0, 0), (1, 1), (1, 1)))
    halved = patches(padded, 3)[:, :, ::2, ::2].mean(axis=(4, 5))
    assert halved.shape == (2, 4, 3, 3)
    if hybridized:
        head.hybridize()
    for found, expected in zip(head(mx.nd.array(features)), fc(mx.nd.array(halved))):
        np.testing.assert_allclose(found.asnumpy(), expected.asnumpy(), rtol=1e-4, atol=1e-5)


def test_names_are_those_of_fc_head():
    pooled, plain = (head(4, 6, 2, hidden=[7]) for head in (PooledFCHead, FCHead))
    assert set(backbones.torch_shapes(pooled)) == set(backbones.torch_shapes(plain))
