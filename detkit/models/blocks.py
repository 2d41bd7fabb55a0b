"""Convolutions with a norm or an activation, which necks and heads are made of."""

from typing import Optional

from mxnet import init
from mxnet.gluon import nn

from detkit.models.layers import HE_FAN_IN, Conv2D, FoldingSequential
from detkit.models.norms import Norm, norm_layer


def conv_relu(
    before: int, width: int, norm: Optional[Norm] = None, weights: init.Initializer = HE_FAN_IN
) -> FoldingSequential:
    """Returns a 3x3 convolution and a ReLU: (B, before, H, W) -> (B, width, H, W).

    norm: one of NORMS between the two; the convolution then has no bias.
    weights: the initialiser of the kernel.
    """
    layers = FoldingSequential()
    with layers.name_scope():
        layers.add(
            Conv2D(
                width,
                3,
                padding=1,
                use_bias=norm is None,
                in_channels=before,
                weight_initializer=weights,
            )
        )
        if norm is not None:
            layers.add(norm_layer(norm, width))
        layers.add(nn.Activation("relu"))
    return layers


def conv_layers(
    in_channels: int,
    convs: int,
    channels: int,
    norm: Optional[Norm] = None,
    weights: init.Initializer = HE_FAN_IN,
) -> nn.HybridSequential:
    """Returns ``convs`` times a conv_relu of ``channels``, none for 0.

    Raises ValueError for numbers that are too small.
    """
    if convs < 0:
        raise ValueError(f"convs: expected at least 0, found {convs}")
    if channels < 1:
        raise ValueError(f"channels: expected at least 1, found {channels}")
    layers = nn.HybridSequential(prefix="convs_")
    with layers.name_scope():
        for number in range(convs):
            layers.add(conv_relu(channels if number else in_channels, channels, norm, weights))
    return layers


def conv_block(
    before: int,
    channels: int,
    kernel: int,
    norm: Optional[Norm],
    stride: int = 1,
    zero: bool = False,
) -> FoldingSequential:
    """Returns a convolution and its norm, if any; with ``zero``, its weights are 0 at first."""
    block = FoldingSequential()
    with block.name_scope():
        block.add(convolution(before, channels, kernel, stride, use_bias=norm is None, zero=zero))
        if norm is not None:
            block.add(norm_layer(norm, channels))
    return block


def convolution(
    before: int,
    channels: int,
    kernel: int,
    stride: int = 1,
    use_bias: bool = True,
    zero: bool = False,
) -> Conv2D:
    """Returns a padded convolution, initialised as in torchvision's FPN or by ``zero``."""
    return Conv2D(
        channels,
        kernel,
        stride,
        kernel // 2,
        use_bias=use_bias,
        in_channels=before,
        weight_initializer=init.Zero() if zero else init.Xavier("uniform", "in", 3),
    )
