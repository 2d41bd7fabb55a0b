"""The blocks and stages of ResNet (He et al. 2016) and ResNeXt (Xie et al. 2017)."""

from typing import Dict, NamedTuple, Optional, Tuple, Type

from mxnet.gluon import HybridBlock, nn

from detkit.models.layers import HE_FAN_OUT, Conv2D, conv_norm
from detkit.models.norms import Norm, norm_layer
from detkit.typing import Namespace, Tensor

STEM_WIDTH = 64


class BlockOptions(NamedTuple):
    """The arguments of ResNet that all its blocks share. A BasicBlock reads the last two alone."""

    stride_in_1x1: bool = False
    groups: int = 1
    width_per_group: int = 64
    norm: Norm = "BN"
    norm_eps: float = 1e-5


def residual_stage(
    depth: int, stage: int, options: BlockOptions, stride: int = 2, dilated: bool = False
) -> nn.HybridSequential:
    """Returns the blocks that compute C ``stage`` (2 to 5), of ``stage_channels``.

    stride: of the first block.
    dilated: whether the 3x3 kernels look at every second cell instead of a stride of 2, so that the
        stage computes what it did before, at twice the resolution (DC5; Dai et al. 2017, section
        4.1). The ``stride`` is then 1.

    In one dimension, the cells x that a 3x3 convolution computes an output of:

        stride 2, the first 3x3        x x x . . .    every cell of the stage before
        stride 2, every 3x3 after it   x   x   x      the cells that the stride has left
        dilated, the first 3x3         x x x . . .    still the undilated grid: dilation 1
        dilated, every 3x3 after it    x . x . x .    the same cells as with a stride: dilation 2
    """
    block, counts = DEPTHS[depth]
    width = STEM_WIDTH * 2 ** (stage - 2)
    before = STEM_WIDTH if stage == 2 else stage_channels(depth, stage - 1)
    dilation = 2 if dilated else 1
    layers = nn.HybridSequential()
    with layers.name_scope():
        layers.add(block(before, width, options, stride, 1, dilation))
        for _ in range(counts[stage - 2] - 1):
            layers.add(block(width * block.expansion, width, options, 1, dilation, dilation))
    return layers


def stage_channels(depth: int, stage: int) -> int:
    """Returns the number of channels of C ``stage`` (2 to 5)."""
    return STEM_WIDTH * 2 ** (stage - 2) * DEPTHS[depth][0].expansion


def conv(
    before: int, channels: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
) -> Conv2D:
    """Returns a convolution without bias, padded so that only its stride changes the size."""
    return Conv2D(
        channels,
        kernel,
        stride,
        kernel // 2 * dilation,
        dilation,
        groups,
        use_bias=False,
        in_channels=before,
        weight_initializer=HE_FAN_OUT,
    )


class Residual(HybridBlock):
    """The base of all blocks: a branch is added to a shortcut, and a ReLU follows.

    expansion: the number of channels that a block returns, in its widths.
    """

    expansion = 1

    def hybrid_forward(self, F: Namespace, x: Tensor) -> Tensor:
        """Returns maps (B, channels, H / stride, W / stride) of x (B, before, H, W)."""
        shortcut = x
        if self.downsample is not None:
            shortcut = conv_norm(F, x, *self.downsample)
        return self.branch(F, x, shortcut)

    def branch(self, F: Namespace, x: Tensor, shortcut: Tensor) -> Tensor:
        """Returns ReLU(branch + shortcut): (B, channels, H / stride, W / stride)."""
        raise NotImplementedError

    def shortcut(
        self, before: int, channels: int, stride: int, options: BlockOptions
    ) -> Optional[nn.HybridSequential]:
        """Returns the 1x1 convolution and norm of a shortcut; None if the shapes agree."""
        if stride == 1 and before == channels:
            return None
        norm = norm_layer(options.norm, channels, options.norm_eps)
        downsample = nn.HybridSequential(prefix="downsample_")
        with downsample.name_scope():
            downsample.add(conv(before, channels, 1, stride), norm)
        return downsample


class BasicBlock(Residual):
    """Two 3x3 convolutions (He et al. 2016, figure 5 left).

    first_dilation: of the first 3x3, which in the first block of a stage sees the undilated grid.
    dilation: of the second 3x3.
    """

    def __init__(
        self,
        before: int,
        width: int,
        options: BlockOptions,
        stride: int = 1,
        first_dilation: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        norm, eps = options.norm, options.norm_eps
        with self.name_scope():
            self.conv1 = conv(before, width, 3, stride, first_dilation)
            self.bn1 = norm_layer(norm, width, eps)
            self.conv2 = conv(width, width, 3, dilation=dilation)
            self.bn2 = norm_layer(norm, width, eps)
            self.downsample = self.shortcut(before, width, stride, options)

    def branch(self, F: Namespace, x: Tensor, shortcut: Tensor) -> Tensor:
        """Returns ReLU(branch + shortcut): (B, channels, H / stride, W / stride)."""
        hidden = conv_norm(F, x, self.conv1, self.bn1, rectified=True)
        return conv_norm(F, hidden, self.conv2, self.bn2, rectified=True, residual=shortcut)


class Bottleneck(Residual):
    """1x1, 3x3 in groups, 1x1 (He et al. 2016, figure 5 right; Xie et al. 2017, figure 3c).

    first_dilation: of the 3x3, which in the first block of a stage sees the undilated grid.
    dilation: of the 3x3 with ``stride_in_1x1``, because it then comes after the place of the
        stride.
    """

    expansion = 4

    def __init__(
        self,
        before: int,
        width: int,
        options: BlockOptions,
        stride: int = 1,
        first_dilation: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        groups, norm, eps = options.groups, options.norm, options.norm_eps
        inner, channels = width * options.width_per_group // 64 * groups, width * self.expansion
        strides = (stride, 1) if options.stride_in_1x1 else (1, stride)
        dilation = dilation if options.stride_in_1x1 else first_dilation
        with self.name_scope():
            self.conv1 = conv(before, inner, 1, strides[0])
            self.bn1 = norm_layer(norm, inner, eps)
            self.conv2 = conv(inner, inner, 3, strides[1], dilation, groups)
            self.bn2 = norm_layer(norm, inner, eps)
            self.conv3 = conv(inner, channels, 1)
            self.bn3 = norm_layer(norm, channels, eps)
            self.downsample = self.shortcut(before, channels, stride, options)

    def branch(self, F: Namespace, x: Tensor, shortcut: Tensor) -> Tensor:
        """Returns ReLU(branch + shortcut): (B, channels, H / stride, W / stride)."""
        hidden = conv_norm(F, x, self.conv1, self.bn1, rectified=True)
        hidden = conv_norm(F, hidden, self.conv2, self.bn2, rectified=True)
        return conv_norm(F, hidden, self.conv3, self.bn3, rectified=True, residual=shortcut)


DEPTHS: Dict[int, Tuple[Type[Residual], Tuple[int, ...]]] = {  # blocks in C2 to C5
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


def check_network(depth: int, stride_in_1x1: bool, groups: int, width_per_group: int) -> None:
    """Raises ValueError if there is no such ResNet or ResNeXt."""
    if depth not in DEPTHS:
        raise ValueError(f"depth: expected one of {sorted(DEPTHS)}, found {depth}")
    if groups < 1:
        raise ValueError(f"groups: expected at least 1, found {groups}")
    if width_per_group < 1:
        raise ValueError(f"width_per_group: expected at least 1, found {width_per_group}")
    if DEPTHS[depth][0] is BasicBlock:
        if stride_in_1x1:
            raise ValueError(f"stride_in_1x1: expected False below depth 50, found True at {depth}")
        if (groups, width_per_group) != (1, 64):
            raise ValueError(
                "groups, width_per_group: expected 1 and 64 below depth 50, found "
                f"{groups} and {width_per_group} at {depth}"
            )
