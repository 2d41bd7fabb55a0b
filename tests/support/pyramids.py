"""A Feature Pyramid Network in numpy, and maps to give it."""

import mxnet as mx
import numpy as np

from support import backbones
from support.patches import patches

CHANNELS, STRIDES = (3, 4, 5), (8, 16, 32)
SHAPES = ((13, 10), (7, 5), (4, 3))  # odd ones and even ones


def maps(channels=CHANNELS, shapes=SHAPES):
    rng = np.random.RandomState(0)
    return [rng.standard_normal((2, c, *s)).astype("float32") for c, s in zip(channels, shapes)]


def conv(x, weights, block, stride=1):
    """A convolution of kernel 1 or 3, padded."""
    kernel, bias = weights[f"{block}.weight"], weights[f"{block}.bias"]
    pad = kernel.shape[2] // 2
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    squares = patches(padded, kernel.shape[2])[:, :, ::stride, ::stride]
    return np.einsum("bchwyx,ocyx->bohw", squares, kernel) + bias[:, None, None]


def nearest(x, height, width):
    """torch's interpolate(size, mode="nearest"): cell floor(i * from / to)."""
    rows = np.arange(height) * x.shape[2] // height
    columns = np.arange(width) * x.shape[3] // width
    return x[:, :, rows][:, :, :, columns]


def pyramid(levels, weights):
    merged = [conv(x, weights, f"inner_blocks.{n}.0") for n, x in enumerate(levels)]
    for n in reversed(range(len(levels) - 1)):
        merged[n] = merged[n] + nearest(merged[n + 1], *merged[n].shape[2:])
    return [conv(x, weights, f"layer_blocks.{n}.0") for n, x in enumerate(merged)]


def run(neck, levels):
    return [level.asnumpy() for level in neck([mx.nd.array(level) for level in levels])]


def weights_of(neck):
    return {name: backbones.filling(name, s) for name, s in backbones.torch_shapes(neck).items()}
