"""MobileNetV2 (Sandler et al. 2018) as a backbone: the worked example of a plugin."""

from typing import Sequence

from mxnet.gluon import HybridBlock, nn

from detkit.models.layers import FoldingSequential, relu6
from detkit.registry import BACKBONES

# expansion, channels, blocks, stride of each stage (table 2 of the paper), after 32 at stride 2
STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)]
STAGES += [(6, 160, 3, 2), (6, 320, 1, 1)]


@BACKBONES.register()
class MobileNetV2(HybridBlock):
    """MobileNetV2 up to the last block of the last of ``out_strides``.

    Its children are numbered as torchvision's, so that torchvision's file loads as it is.

    out_strides: some of 2, 4, 8, 16 and 32, increasing; of each, the map of the last block is
        returned. One alone gives one map, several a list: (4, 8, 16, 32) is for FPN.
    frozen_norm: batch statistics stay those of the pretrained file; scale and shift still learn.
    """

    def __init__(self, out_strides: Sequence[int] = (16,), frozen_norm: bool = True):
        super().__init__()
        strides = tuple(out_strides)
        if not strides or strides != tuple(s for s in (2, 4, 8, 16, 32) if s in strides):
            expected = "some of 2, 4, 8, 16 and 32, increasing"
            raise ValueError(f"out_strides is {expected}, not {list(strides)}")
        before, stride, last = 32, 2, {}
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            self.features.add(conv_norm(3, before, 3, 2, 1, frozen_norm))
            for expansion, channels, blocks, halving in STAGES:
                stride *= halving
                if stride > strides[-1]:
                    break
                for step in [halving] + [1] * (blocks - 1):
                    self.features.add(Bottleneck(before, channels, expansion, step, frozen_norm))
                    before = channels
                last[stride] = (len(self.features) - 1, channels)
        self._outs, channels = zip(*(last[stride] for stride in strides))
        if len(strides) > 1:
            self.channels, self.strides = channels, strides
        else:
            (self.channels,), (self.stride,) = channels, strides

    def hybrid_forward(self, F, images):
        """images (B, 3, H, W) -> a map (B, C, H / stride, W / stride), or a list of them."""
        maps = []
        for index, layer in enumerate(self.features):
            images = layer(images)
            if index in self._outs:
                maps.append(images)
        return maps if len(maps) > 1 else maps[0]


class Bottleneck(HybridBlock):
    """Expand, filter each channel, project; added to the input where the shapes agree."""

    def __init__(self, before, channels, expansion, stride, frozen_norm):
        super().__init__()
        self._residual = stride == 1 and before == channels
        width = before * expansion
        with self.name_scope():
            self.conv = FoldingSequential(prefix="")
            if expansion > 1:
                self.conv.add(conv_norm(before, width, 1, 1, 1, frozen_norm))
            self.conv.add(conv_norm(width, width, 3, stride, width, frozen_norm))
            self.conv.add(nn.Conv2D(channels, 1, use_bias=False, in_channels=width))
            self.conv.add(nn.BatchNorm(in_channels=channels, use_global_stats=frozen_norm))

    def hybrid_forward(self, F, x):
        """(B, before, H, W) -> (B, channels, H / stride, W / stride)."""
        return x + self.conv(x) if self._residual else self.conv(x)


def conv_norm(before, channels, kernel, stride, groups, frozen_norm):
    """Convolution without bias, batch norm, ReLU6."""
    shape = {"strides": stride, "padding": kernel // 2, "groups": groups, "in_channels": before}
    layers = FoldingSequential(prefix="")
    layers.add(nn.Conv2D(channels, kernel, use_bias=False, **shape))
    layers.add(nn.BatchNorm(in_channels=channels, use_global_stats=frozen_norm))
    layers.add(nn.HybridLambda(relu6))
    return layers
