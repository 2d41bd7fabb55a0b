"""Normalize against numpy."""

import mxnet as mx
import numpy as np
import pytest

from detkit.models import Normalize
from support.refusals import assert_refused


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_pixels_are_normalised_and_padding_is_zero(order, images):
    pixels, sizes = images((3, 4), (2, 2), padding=9.0)
    block = Normalize(mean=(1, 2, 3), std=(4, 5, 6), order=order)
    block.initialize()
    found = block(mx.nd.array(pixels), mx.nd.array(sizes)).asnumpy()
    expected = np.zeros_like(pixels)
    for row, (h, w) in enumerate([(3, 4), (2, 2)]):
        for channel in range(3):
            source = channel if order == "RGB" else 2 - channel
            plane = pixels[row, source, :h, :w]
            expected[row, channel, :h, :w] = (plane - (1, 2, 3)[channel]) / (4, 5, 6)[channel]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "value"), [("std", [1, 0, 1]), ("std", [1, 1]), ("mean", [1, 2]), ("order", "GBR")]
)
def test_arguments_are_checked(name, value):
    assert_refused(Normalize, **{name: value})
