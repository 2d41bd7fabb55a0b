"""MobileNetV2 (Sandler et al. 2018) as a backbone."""

from typing import Dict, List, Sequence, Tuple

from mxnet.gluon import HybridBlock, nn

from detkit.models.layers import Conv2D, FoldingSequential, ReLU6, run_folding
from detkit.models.levels import maps_of_strides
from detkit.models.norms import Norm, norm_layer
from detkit.registry import BACKBONES
from detkit.typing import Namespace, Tensor

# expansion, channels, blocks, stride of each stage (table 2 of the paper), after 32 at stride 2
STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)]
STAGES += [(6, 160, 3, 2), (6, 320, 1, 1)]
STRIDES = (2, 4, 8, 16, 32)


@BACKBONES.register()
class MobileNetV2(HybridBlock):
    """MobileNetV2 up to the last block of the last of ``out_strides``.

    Its children are numbered as torchvision's, so that torchvision's file loads as it is.

    out_strides: some of 2, 4, 8, 16 and 32, finest first; for each stride, the map of the last
        block is returned. (4, 8, 16, 32) is for FPN.
    norm: a kind of batch norm, see detkit.models.norms.norm_layer. With "FrozenStatsBN" the batch
        statistics stay those of the pretrained file; scale and shift still learn.
    """

    def __init__(self, out_strides: Sequence[int] = (16,), norm: Norm = "FrozenStatsBN") -> None:
        super().__init__()
        self.strides = tuple(STRIDES[number] for number in maps_of_strides(out_strides, STRIDES))
        before, stride = 32, 2
        last: Dict[int, Tuple[int, int]] = {}  # {stride: (layer, channels)}
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            self.features.add(conv_norm(3, before, 3, 2, 1, norm))
            for expansion, channels, blocks, halving in STAGES:
                stride *= halving
                if stride > self.strides[-1]:
                    break
                for step in [halving] + [1] * (blocks - 1):
                    self.features.add(Bottleneck(before, channels, expansion, step, norm))
                    before = channels
                last[stride] = (len(self.features) - 1, channels)
        self._outs, self.channels = zip(*(last[stride] for stride in self.strides))

    def hybrid_forward(self, F: Namespace, images: Tensor) -> List[Tensor]:
        """images (B, 3, H, W) -> a list of maps (B, C, H / stride, W / stride), finest first."""
        maps = []
        for index, layer in enumerate(self.features):
            images = layer(images)
            if index in self._outs:
                maps.append(images)
        return maps


class Bottleneck(HybridBlock):
    """Expand, filter each channel, project; added to the input where the shapes agree."""

    def __init__(self, before: int, channels: int, expansion: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self._residual = stride == 1 and before == channels
        width = before * expansion
        with self.name_scope():
            self.conv = FoldingSequential(prefix="")
            if expansion > 1:
                self.conv.add(conv_norm(before, width, 1, 1, 1, norm))
            self.conv.add(conv_norm(width, width, 3, stride, width, norm))
            self.conv.add(Conv2D(channels, 1, use_bias=False, in_channels=width))
            self.conv.add(norm_layer(norm, channels))

    def hybrid_forward(self, F: Namespace, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, channels, H / stride, W / stride)."""
        return run_folding(F, x, self.conv, x if self._residual else None)


def conv_norm(
    before: int, channels: int, kernel: int, stride: int, groups: int, norm: Norm
) -> FoldingSequential:
    """Convolution without bias, batch norm, ReLU6."""
    shape = {"strides": stride, "padding": kernel // 2, "groups": groups, "in_channels": before}
    layers = FoldingSequential(prefix="")
    layers.add(Conv2D(channels, kernel, use_bias=False, **shape))
    layers.add(norm_layer(norm, channels))
    layers.add(ReLU6())
    return layers
