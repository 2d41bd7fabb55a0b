"""ResNet (He et al. 2016) and ResNeXt (Xie et al. 2017), with the maps C2 to C5."""

from typing import Sequence

from mxnet import init
from mxnet.gluon import HybridBlock, nn

from detkit.models.layers import conv_norm, freeze, freeze_norms
from detkit.registry import BACKBONES

STEM_WIDTH = 64
STAGES = 5  # the stem is C1, layer1 to layer4 are C2 to C5


@BACKBONES.register()
class ResNet(HybridBlock):
    """ResNet without its classifier, up to the last of ``out_stages``.

    depth: 18, 34, 50, 101 or 152.
    stride_in_1x1: a block of 50 layers and more halves the resolution in its first 1x1 convolution,
        as in the paper and in Caffe's and Detectron's weights (v1), instead of in its 3x3, as
        torchvision's (v1b).
    groups, width_per_group: 32 and 4 make ResNeXt 32x4d of depth 50, 32 and 8 ResNeXt 32x8d.
    out_stages: the stages whose maps are returned, 2 to 5 for C2 to C5, increasing. 4 alone is what
        Faster R-CNN looks at without a neck (He et al. 2016, appendix A); (2, 3, 4, 5) is for FPN.
    dilated_c5: C5 keeps the stride of C4, 16, and its kernels reach as far as before.
    frozen_stages: the first so many stages keep their weights (and batch statistics).
    frozen_norm: every batch norm keeps its statistics, scale and shift.
    norm_eps: added to the variances.

    Children are named as torchvision's.
    """

    def __init__(
        self,
        depth: int = 50,
        stride_in_1x1: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        out_stages: Sequence[int] = (4,),
        dilated_c5: bool = False,
        frozen_stages: int = 2,
        frozen_norm: bool = True,
        norm_eps: float = 1e-5,
    ):
        super().__init__()
        _check(depth, stride_in_1x1, groups, width_per_group)
        _check_stages(out_stages, frozen_stages)
        block, counts = DEPTHS[depth]
        self._out_stages = tuple(out_stages)
        shape = {"eps": norm_eps}
        if block is Bottleneck:
            inner = {"groups": groups, "width_per_group": width_per_group}
            shape.update(inner, stride_in_1x1=stride_in_1x1)
        before = STEM_WIDTH
        with self.name_scope():
            self.conv1 = _conv(3, STEM_WIDTH, 7, stride=2)
            self.bn1 = _norm(STEM_WIDTH, norm_eps)
            for stage in range(2, self._out_stages[-1] + 1):
                width = STEM_WIDTH * 2 ** (stage - 2)
                dilated = dilated_c5 and stage == STAGES
                stride = 1 if stage == 2 or dilated else 2
                layer = _stage(block, counts[stage - 2], before, width, stride, dilated, shape)
                setattr(self, f"layer{stage - 1}", layer)
                before = width * block.expansion
        self._freeze(frozen_stages, frozen_norm)
        self.channels = tuple(STEM_WIDTH * 2 ** (s - 2) * block.expansion for s in out_stages)
        self.strides = tuple(16 if dilated_c5 and s == STAGES else 2**s for s in out_stages)

    def hybrid_forward(self, F, images):
        """images (B, 3, H, W) -> a map (B, C, H / stride, W / stride) of each of out_stages."""
        x = F.relu(conv_norm(F, images, self.conv1, self.bn1))
        x = F.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max")
        maps = []
        for stage in range(2, self._out_stages[-1] + 1):
            x = getattr(self, f"layer{stage - 1}")(x)
            if stage in self._out_stages:
                maps.append(x)
        return maps

    def _freeze(self, stages, norms):
        parts = [[self.conv1, self.bn1]]
        parts += [[getattr(self, f"layer{s - 1}")] for s in range(2, self._out_stages[-1] + 1)]
        for part in parts[:stages]:
            for block in part:
                freeze(block)
        if norms:
            freeze_norms(self)


class _Residual(HybridBlock):
    """What both blocks share: the sum with the shortcut, after which comes the ReLU."""

    def hybrid_forward(self, F, x):
        """(B, before, H, W) -> (B, channels, H / stride, W / stride)."""
        shortcut = x
        if self.downsample is not None:
            shortcut = conv_norm(F, x, *self.downsample)
        return F.relu(self.branch(F, x) + shortcut)

    def _shortcut(self, before, channels, stride, eps):
        """Where the shapes differ, a 1x1 convolution takes the place of the identity."""
        if stride == 1 and before == channels:
            return None
        downsample = nn.HybridSequential(prefix="downsample_")
        downsample.add(_conv(before, channels, 1, stride=stride), _norm(channels, eps))
        return downsample


class BasicBlock(_Residual):
    """Two 3x3 convolutions (He et al. 2016, figure 5 left).

    first_dilation, dilation: of the first 3x3 and of those after it.
    """

    expansion = 1

    def __init__(self, before, width, stride, first_dilation, dilation, eps):
        super().__init__()
        with self.name_scope():
            self.conv1 = _conv(before, width, 3, stride, first_dilation)
            self.bn1 = _norm(width, eps)
            self.conv2 = _conv(width, width, 3, dilation=dilation)
            self.bn2 = _norm(width, eps)
            self.downsample = self._shortcut(before, width, stride, eps)

    def branch(self, F, x):
        """What is added to the shortcut."""
        hidden = F.relu(conv_norm(F, x, self.conv1, self.bn1))
        return conv_norm(F, hidden, self.conv2, self.bn2)


class Bottleneck(_Residual):
    """1x1, 3x3 in groups, 1x1 (He et al. 2016, figure 5 right; Xie et al. 2017, figure 3c).

    first_dilation, dilation: of the 3x3 where it comes before the stride that was taken out of the
        stage, and elsewhere.
    """

    expansion = 4

    def __init__(
        self,
        before,
        width,
        stride,
        first_dilation,
        dilation,
        groups,
        width_per_group,
        eps,
        stride_in_1x1,
    ):
        super().__init__()
        inner, channels = width * width_per_group // 64 * groups, width * self.expansion
        strides = (stride, 1) if stride_in_1x1 else (1, stride)
        with self.name_scope():
            self.conv1 = _conv(before, inner, 1, strides[0])
            self.bn1 = _norm(inner, eps)
            self.conv2 = _conv(
                inner, inner, 3, strides[1], dilation if stride_in_1x1 else first_dilation, groups
            )
            self.bn2 = _norm(inner, eps)
            self.conv3 = _conv(inner, channels, 1)
            self.bn3 = _norm(channels, eps)
            self.downsample = self._shortcut(before, channels, stride, eps)

    def branch(self, F, x):
        """What is added to the shortcut."""
        hidden = F.relu(conv_norm(F, x, self.conv1, self.bn1))
        hidden = F.relu(conv_norm(F, hidden, self.conv2, self.bn2))
        return conv_norm(F, hidden, self.conv3, self.bn3)


DEPTHS = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


def _stage(block, count, before, width, stride, dilated, shape):
    """The blocks of one stage; ``dilated`` stands in for a stride of 2."""
    dilation = 2 if dilated else 1
    layers = nn.HybridSequential()
    with layers.name_scope():
        # The first 3x3 meets pixels as close together as before; what follows reaches twice as far.
        layers.add(block(before, width, stride, 1, dilation, **shape))
        for _ in range(count - 1):
            layers.add(block(width * block.expansion, width, 1, dilation, dilation, **shape))
    return layers


def _conv(before, channels, kernel, stride=1, dilation=1, groups=1):
    return nn.Conv2D(
        channels,
        kernel,
        stride,
        kernel // 2 * dilation,
        dilation,
        groups,
        use_bias=False,
        in_channels=before,
        weight_initializer=init.Xavier("gaussian", "out", 2),
    )


def _norm(channels, eps):
    return nn.BatchNorm(epsilon=eps, in_channels=channels)


def _check(depth, stride_in_1x1, groups, width_per_group):
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


def _check_stages(out_stages, frozen_stages):
    stages = list(out_stages)
    if not stages or stages != sorted(set(stages)) or not set(stages) <= {2, 3, 4, 5}:
        raise ValueError(f"out_stages is some of 2 to 5, increasing, not {stages}")
    if not 0 <= frozen_stages <= STAGES:
        raise ValueError(f"frozen_stages is 0 to {STAGES}, not {frozen_stages}")
