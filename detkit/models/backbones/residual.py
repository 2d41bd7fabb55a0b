"""The blocks and stages of ResNet (He et al. 2016) and ResNeXt (Xie et al. 2017)."""

from mxnet.gluon import HybridBlock, nn

from detkit.models.layers import HE_FAN_OUT, conv_norm, norm_layer, relu

STEM_WIDTH = 64


def residual_stage(
    depth,
    stage,
    stride=2,
    dilated=False,
    stride_in_1x1=False,
    groups=1,
    width_per_group=64,
    norm="FrozenBN",
    norm_eps=1e-5,
):
    """Returns the blocks that make C ``stage`` (2 to 5), of ``stage_channels``, of the one before.

    stride: of the first block.
    dilated: the stride of 2 is left out, and the 3x3 kernels after its place look at every second
        cell instead, so that the stage computes what it did before, at twice the resolution
        (DC5; Dai et al. 2017, section 4.1).
    All other arguments: see ResNet.

    In one dimension, the cells x that a 3x3 convolution computes an output of:

        stride 2, the first 3x3        x x x . . .    every cell of the stage before
        stride 2, every 3x3 after it   x   x   x      the cells that the stride has left
        dilated, the first 3x3         x x x . . .    still the undilated grid: dilation 1
        dilated, every 3x3 after it    x . x . x .    the same cells as with a stride: dilation 2
    """
    block, counts = DEPTHS[depth]
    width = STEM_WIDTH * 2 ** (stage - 2)
    before = STEM_WIDTH if stage == 2 else stage_channels(depth, stage - 1)
    how = {"norm": norm, "eps": norm_eps}
    if block is Bottleneck:
        how.update(groups=groups, width_per_group=width_per_group, stride_in_1x1=stride_in_1x1)
    dilation = 2 if dilated else 1
    layers = nn.HybridSequential()
    with layers.name_scope():
        layers.add(block(before, width, stride, 1, dilation, **how))
        for _ in range(counts[stage - 2] - 1):
            layers.add(block(width * block.expansion, width, 1, dilation, dilation, **how))
    return layers


def stage_channels(depth, stage):
    """Returns the number of channels of C ``stage`` (2 to 5)."""
    return STEM_WIDTH * 2 ** (stage - 2) * DEPTHS[depth][0].expansion


def conv(before, channels, kernel, stride=1, dilation=1, groups=1):
    """Returns a convolution without bias, padded so that only its stride changes the size."""
    return nn.Conv2D(
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
    """The base of all blocks: a branch is added to a shortcut, and a ReLU follows."""

    def hybrid_forward(self, F, x):
        """(B, before, H, W) -> (B, channels, H / stride, W / stride)."""
        shortcut = x
        if self.downsample is not None:
            shortcut = conv_norm(F, x, *self.downsample)
        return relu(F, self.branch(F, x) + shortcut)

    def shortcut(self, before, channels, stride, norm, eps=1e-5):
        """Returns the 1x1 convolution and norm of a shortcut; None if the shapes agree."""
        if stride == 1 and before == channels:
            return None
        downsample = nn.HybridSequential(prefix="downsample_")
        with downsample.name_scope():
            downsample.add(conv(before, channels, 1, stride), norm_layer(norm, channels, eps))
        return downsample


class BasicBlock(Residual):
    """Two 3x3 convolutions (He et al. 2016, figure 5 left).

    first_dilation: of the first 3x3, which in the first block of a stage sees the undilated grid.
    dilation: of the second 3x3.
    """

    expansion = 1

    def __init__(self, before, width, stride, first_dilation, dilation, norm, eps):
        super().__init__()
        with self.name_scope():
            self.conv1 = conv(before, width, 3, stride, first_dilation)
            self.bn1 = norm_layer(norm, width, eps)
            self.conv2 = conv(width, width, 3, dilation=dilation)
            self.bn2 = norm_layer(norm, width, eps)
            self.downsample = self.shortcut(before, width, stride, norm, eps)

    def branch(self, F, x):
        """Returns what is added to the shortcut: (B, channels, H / stride, W / stride)."""
        hidden = relu(F, conv_norm(F, x, self.conv1, self.bn1))
        return conv_norm(F, hidden, self.conv2, self.bn2)


class Bottleneck(Residual):
    """1x1, 3x3 in groups, 1x1 (He et al. 2016, figure 5 right; Xie et al. 2017, figure 3c).

    first_dilation: of the 3x3, which in the first block of a stage sees the undilated grid.
    dilation: of the 3x3 with ``stride_in_1x1``, as it then comes after the place of the stride.
    """

    expansion = 4

    def __init__(
        self,
        before,
        width,
        stride=1,
        first_dilation=1,
        dilation=1,
        groups=1,
        width_per_group=64,
        stride_in_1x1=False,
        norm="BN",
        eps=1e-5,
    ):
        super().__init__()
        inner, channels = width * width_per_group // 64 * groups, width * self.expansion
        strides = (stride, 1) if stride_in_1x1 else (1, stride)
        dilation = dilation if stride_in_1x1 else first_dilation
        with self.name_scope():
            self.conv1 = conv(before, inner, 1, strides[0])
            self.bn1 = norm_layer(norm, inner, eps)
            self.conv2 = conv(inner, inner, 3, strides[1], dilation, groups)
            self.bn2 = norm_layer(norm, inner, eps)
            self.conv3 = conv(inner, channels, 1)
            self.bn3 = norm_layer(norm, channels, eps)
            self.downsample = self.shortcut(before, channels, stride, norm, eps)

    def branch(self, F, x):
        """Returns what is added to the shortcut: (B, channels, H / stride, W / stride)."""
        hidden = relu(F, conv_norm(F, x, self.conv1, self.bn1))
        hidden = relu(F, conv_norm(F, hidden, self.conv2, self.bn2))
        return conv_norm(F, hidden, self.conv3, self.bn3)


DEPTHS = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


def check_network(depth, stride_in_1x1, groups, width_per_group):
    """Raises ValueError if there is no such ResNet or ResNeXt."""
    if depth not in DEPTHS:
        raise ValueError(f"depth is one of {sorted(DEPTHS)}, not {depth}")
    if groups < 1 or width_per_group < 1:
        raise ValueError(
            f"groups and width_per_group are at least 1, not {groups}, {width_per_group}"
        )
    if DEPTHS[depth][0] is BasicBlock:
        if stride_in_1x1:
            raise ValueError("stride_in_1x1 is for depth 50 and more")
        if (groups, width_per_group) != (1, 64):
            raise ValueError("groups and width_per_group are for depth 50 and more")
