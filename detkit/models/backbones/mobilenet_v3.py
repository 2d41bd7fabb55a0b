"""MobileNetV3 (Howard et al. 2019, tables 1 and 2), large and small."""

from typing import List, Optional, Sequence, Tuple

from mxnet.gluon import HybridBlock, nn

from detkit.models.layers import HE_FAN_OUT, FoldingSequential, relu6
from detkit.models.levels import maps_of_strides
from detkit.models.norms import Norm, freeze, norm_layer
from detkit.registry import BACKBONES
from detkit.typing import Namespace, Tensor

# kernel, expanded channels, channels, squeeze-and-excitation, activation, stride of each bottleneck
Row = Tuple[int, int, int, bool, str, int]
BOTTLENECKS = {
    "large": [
        (3, 16, 16, False, "relu", 1),
        (3, 64, 24, False, "relu", 2),
        (3, 72, 24, False, "relu", 1),
        (5, 72, 40, True, "relu", 2),
        (5, 120, 40, True, "relu", 1),
        (5, 120, 40, True, "relu", 1),
        (3, 240, 80, False, "hard_swish", 2),
        (3, 200, 80, False, "hard_swish", 1),
        (3, 184, 80, False, "hard_swish", 1),
        (3, 184, 80, False, "hard_swish", 1),
        (3, 480, 112, True, "hard_swish", 1),
        (3, 672, 112, True, "hard_swish", 1),
        (5, 672, 160, True, "hard_swish", 2),
        (5, 960, 160, True, "hard_swish", 1),
        (5, 960, 160, True, "hard_swish", 1),
    ],
    "small": [
        (3, 16, 16, True, "relu", 2),
        (3, 72, 24, False, "relu", 2),
        (3, 88, 24, False, "relu", 1),
        (5, 96, 40, True, "hard_swish", 2),
        (5, 240, 40, True, "hard_swish", 1),
        (5, 240, 40, True, "hard_swish", 1),
        (5, 120, 48, True, "hard_swish", 1),
        (5, 144, 48, True, "hard_swish", 1),
        (5, 288, 96, True, "hard_swish", 2),
        (5, 576, 96, True, "hard_swish", 1),
        (5, 576, 96, True, "hard_swish", 1),
    ],
}
STRIDES = (2, 4, 8, 16, 32, 32)  # of the maps of the six stages


@BACKBONES.register()
class MobileNetV3(HybridBlock):
    """A MobileNetV3 without its classifier, up to the last map that is asked for.

    Each layer that halves the resolution begins a stage, and its output is the map of that stage,
    as in torchvision's detectors. The sixth and last stage is the 1x1 convolution to 960 (small:
    576) channels, of the stride of the fifth.

    size: "large" or "small".
    out_strides: the strides of the maps that are returned, of 2, 4, 8, 16, 32 and 32. One 32 is the
        last stage; two are the last two, as in torchvision's detectors.
    frozen_stages: the number of stages, from the first on, whose weights and statistics are frozen.
    norm: one of norms.NORMS, see norm_layer. GN needs 8 groups or fewer: {type: GN, groups: 8}.
    norm_eps: added to the variances; torchvision's detectors have 1e-5, its classifiers 1e-3.

    Children are numbered as in torchvision's ``features``.
    """

    def __init__(
        self,
        size: str = "large",
        out_strides: Sequence[int] = (32, 32),
        frozen_stages: int = 0,
        norm: Norm = "BN",
        norm_eps: float = 1e-3,
    ) -> None:
        super().__init__()
        _check(size, frozen_stages)
        stages = maps_of_strides(out_strides, STRIDES)
        rows = BOTTLENECKS[size]
        starts = [0, *(n for n, row in enumerate(rows, 1) if row[-1] == 2), len(rows) + 1]
        self._taps = [starts[stage] for stage in stages]
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            self.features.add(*_layers(rows, norm, norm_eps)[: self._taps[-1] + 1])
        for layer in list(self.features)[: [*starts, None][frozen_stages]]:  # 6 stages: all of it
            freeze(layer)
        self.channels = tuple(self.features[tap].channels for tap in self._taps)
        self.strides = tuple(STRIDES[stage] for stage in stages)

    def hybrid_forward(self, F: Namespace, images: Tensor) -> List[Tensor]:
        """Returns maps (B, C, H / stride, W / stride) of images (B, 3, H, W), finest first."""
        x, maps = images, []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._taps:
                maps.append(x)
        return maps


class Bottleneck(HybridBlock):
    """An inverted residual: expand, filter each channel, weigh the channels, project.

    The result is added to the input if their shapes agree.
    """

    def __init__(self, before: int, row: Row, norm: Norm, eps: float) -> None:
        super().__init__()
        kernel, expanded, channels, excite, activation, stride = row
        self.channels = channels
        self._residual = stride == 1 and before == channels
        with self.name_scope():
            self.block = nn.HybridSequential(prefix="")
            if expanded != before:
                self.block.add(ConvNorm(before, expanded, 1, activation, norm, eps))
            self.block.add(
                ConvNorm(expanded, expanded, kernel, activation, norm, eps, stride, expanded)
            )
            if excite:
                self.block.add(SqueezeExcitation(expanded))
            self.block.add(ConvNorm(expanded, channels, 1, None, norm, eps))

    def hybrid_forward(self, F: Namespace, x: Tensor) -> Tensor:
        """Returns maps (B, channels, H / stride, W / stride) of x (B, before, H, W)."""
        return x + self.block(x) if self._residual else self.block(x)


class ConvNorm(FoldingSequential):
    """A convolution without bias, a batch norm and an activation."""

    def __init__(
        self,
        before: int,
        channels: int,
        kernel: int,
        activation: Optional[str],
        norm: Norm,
        eps: float,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.channels = channels
        with self.name_scope():
            self.add(
                nn.Conv2D(
                    channels,
                    kernel,
                    stride,
                    kernel // 2,
                    groups=groups,
                    use_bias=False,
                    in_channels=before,
                    weight_initializer=HE_FAN_OUT,
                ),
                norm_layer(norm, channels, eps, momentum=0.99),
            )
            if activation == "hard_swish":
                self.add(nn.HybridLambda(hard_swish))
            elif activation:
                self.add(nn.Activation(activation))


class SqueezeExcitation(HybridBlock):
    """Squeeze and excitation: each channel times a weight in [0, 1] (Hu et al. 2018).

    The weights are computed from the means of all channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = _multiple_of_8(channels // 4)
        he = {"weight_initializer": HE_FAN_OUT}
        with self.name_scope():
            self.fc1 = nn.Conv2D(squeezed, 1, in_channels=channels, activation="relu", **he)
            self.fc2 = nn.Conv2D(channels, 1, in_channels=squeezed, **he)

    def hybrid_forward(self, F: Namespace, x: Tensor) -> Tensor:
        """Returns the weighed maps (B, C, H, W), of the shape of x."""
        means = F.mean(x, axis=(2, 3), keepdims=True)
        return F.broadcast_mul(x, hard_sigmoid(F, self.fc2(self.fc1(means))))


def hard_sigmoid(F: Namespace, x: Tensor) -> Tensor:
    """Returns min(max(x + 3, 0), 6) / 6, in [0, 1], of any shape."""
    return relu6(F, x + 3) / 6


def hard_swish(F: Namespace, x: Tensor) -> Tensor:
    """Returns x times hard_sigmoid(x), of any shape."""
    return x * hard_sigmoid(F, x)


def _layers(rows: Sequence[Row], norm: Norm, eps: float) -> List[HybridBlock]:
    """Returns the layers of torchvision's ``features``."""
    layers, before = [ConvNorm(3, 16, 3, "hard_swish", norm, eps, stride=2)], 16
    for row in rows:
        layers.append(Bottleneck(before, row, norm, eps))
        before = layers[-1].channels
    return [*layers, ConvNorm(before, 6 * before, 1, "hard_swish", norm, eps)]


def _multiple_of_8(channels: int) -> int:
    """Returns the nearest multiple of 8, or the next one if that is less than 9/10 of channels."""
    nearest = max(8, (channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def _check(size: str, frozen_stages: int) -> None:
    if size not in BOTTLENECKS:
        raise ValueError(f"size: expected one of {sorted(BOTTLENECKS)}, found {size!r}")
    if not 0 <= frozen_stages <= len(STRIDES):
        raise ValueError(f"frozen_stages: expected 0 to {len(STRIDES)}, found {frozen_stages}")
