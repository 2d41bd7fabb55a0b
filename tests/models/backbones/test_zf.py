"""ZF against Caffe's definition written out in numpy."""

import mxnet as mx
import numpy as np
import pytest

from detkit.models.backbones import ZF
from detkit.models.backbones.zf import normalised
from support import backbones
from support.patches import patches
from support.refusals import assert_refused

# models/pascal_voc/ZF/faster_rcnn_end2end/test.prototxt: outputs, kernel, pad, stride
CONV1_TO_5 = [(96, 7, 3, 2), (256, 5, 2, 2), (384, 3, 1, 1), (384, 3, 1, 1), (256, 3, 1, 1)]


def strided(x, kernel, stride, rows, columns):
    """Squares of x (B, C, H, W) at every stride: (B, C, rows, columns, kernel, kernel)."""
    return patches(x, kernel)[:, :, ::stride, ::stride][:, :, :rows, :columns]


def padded(x, pad, value):
    return np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)], constant_values=value)


def conv_relu(x, weight, bias, pad, stride):
    kernel = weight.shape[-1]
    sides = [(side + 2 * pad - kernel) // stride + 1 for side in x.shape[2:]]
    squares = strided(padded(x, pad, 0), kernel, stride, *sides)
    return np.maximum(
        np.einsum("bchwij,ocij->bohw", squares, weight, optimize=True) + bias.reshape(1, -1, 1, 1),
        0,
    )


def lrn(x):
    """Caffe's LRN layer, WITHIN_CHANNEL, local_size 3, alpha 0.00005, beta 0.75."""
    means = strided(padded(x**2, 1, 0), 3, 1, *x.shape[2:]).mean((-1, -2))
    return x * (1 + 5e-5 * means) ** -0.75


def pooled(x):
    """Caffe's max pooling, kernel 3, stride 2, pad 1: the number of windows is rounded up."""
    sides = [-((3 - side - 2) // 2) + 1 for side in x.shape[2:]]
    beyond = np.pad(x, [(0, 0), (0, 0), (1, 2), (1, 2)], constant_values=-np.inf)
    return strided(beyond, 3, 2, *sides).max((-1, -2))


def caffe(images, arrays):
    x = images.astype("float64")
    for number, (_, _, pad, stride) in enumerate(CONV1_TO_5, 1):
        x = conv_relu(x, arrays[f"conv{number}.weight"], arrays[f"conv{number}.bias"], pad, stride)
        if number <= 2:
            x = pooled(lrn(x))
    return x


def test_names_and_shapes_are_caffes():
    expected, before = {}, 3
    for number, (channels, kernel, _, _) in enumerate(CONV1_TO_5, 1):
        expected[f"conv{number}.weight"] = (channels, before, kernel, kernel)
        expected[f"conv{number}.bias"] = (channels,)
        before = channels
    assert backbones.torch_shapes(ZF()) == expected


@pytest.mark.parametrize(("height", "width"), [(64, 80), (47, 33)])
def test_the_features_are_caffes(height, width):
    backbone = backbones.fill(ZF())
    backbone.hybridize()
    # Caffe's pixels: large enough for the normalisation to matter
    images = 100 * backbones.probe(height, width)
    (features,) = backbone(mx.nd.array(images))
    features = features.asnumpy()
    arrays = {n: p.data().asnumpy() for n, p in backbone._collect_params_with_prefix().items()}
    expected = caffe(images, arrays)
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4 * expected.max())


@pytest.mark.parametrize(("side", "cells"), [(224, 15), (600, 39), (16, 2)])
def test_the_number_of_cells_is_caffes(side, cells):
    backbone = ZF()
    backbone.initialize()
    (features,) = backbone(mx.nd.zeros((1, 3, side, 32)))
    assert features.shape[:3] == (1, *backbone.channels, cells)
    assert backbone.strides == (16,)


def test_normalisation_is_caffes_within_channel():
    x = 200 * np.random.RandomState(3).standard_normal((2, 4, 6, 5)).astype("float32")
    found = normalised(mx.nd, mx.nd.array(x)).asnumpy()
    np.testing.assert_allclose(found, lrn(x.astype("float64")), rtol=1e-5)
    assert np.abs(found / x).min() < 0.7


@pytest.mark.parametrize("frozen_stages", [0, 2, 4])
def test_frozen_stages_keep_their_weights(frozen_stages):
    backbone = backbones.fill(ZF(frozen_stages))
    changed, _ = backbones.changed_by_a_step(backbone, backbones.probe(32, 32))
    assert changed == {
        f"conv{number}.{kind}"
        for number in range(frozen_stages + 1, 6)
        for kind in ("weight", "bias")
    }


def test_frozen_stages_are_checked():
    assert_refused(ZF, "0 to 5", frozen_stages=6)
