"""Feature Pyramid Network (Lin et al. 2017): strong features at every resolution."""

from typing import Optional, Sequence

from mxnet import init
from mxnet.gluon import HybridBlock, nn

from detkit import ops
from detkit.models.layers import FoldingSequential, norm_layer, relu
from detkit.registry import NECKS

EXTRA = {"pool": 1, "p6": 1, "p6p7": 2, "none": 0}  # levels beyond the backbone's


@NECKS.register()
class FPN(HybridBlock):
    """Each map through a 1x1 convolution, plus the coarser one above it, through a 3x3.

    in_channels, strides: derived from the backbone.
    channels: C of every map that is returned.
    extra: coarser levels beyond the backbone's: "pool", every second cell of the last (FPN's P6,
        for large anchors); "p6p7", two convolutions of stride 2 (RetinaNet, Lin et al. 2017b);
        "p6", the first of them alone; "none".
    p6_from: what these begin with: "p5", the last level, as in torchvision; "c5", the backbone's
        last map, as in the paper; "lateral", that after its 1x1 convolution, as in GluonCV.
    norm: one of layers.NORMS after each convolution but P6's and P7's; the convolutions then have
        no bias.
    zero_init_laterals: the 1x1 convolutions begin at zero, and a pretrained backbone gets no
        gradient from a neck that has learnt nothing yet.

    Children are named as torchvision's (p6 and p7 without its ``extra_blocks``).
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        channels: int = 256,
        extra: str = "pool",
        p6_from: str = "p5",
        norm: Optional[str] = None,
        zero_init_laterals: bool = False,
    ):
        super().__init__()
        steps = [coarse // fine for fine, coarse in zip(strides, strides[1:])]
        _check(channels, extra, p6_from, strides, steps)
        self._steps, self._extra, self._p6_from = steps, extra, p6_from
        self.channels = channels
        self.strides = (*strides, *(strides[-1] * 2**n for n in range(1, EXTRA[extra] + 1)))
        with self.name_scope():
            self.inner_blocks = nn.HybridSequential()
            self.layer_blocks = nn.HybridSequential()
            for before in in_channels:
                self.inner_blocks.add(
                    conv_block(before, channels, 1, norm, zero=zero_init_laterals)
                )
                self.layer_blocks.add(conv_block(channels, channels, 3, norm))
            if extra in ("p6", "p6p7"):
                self.p6 = _conv(in_channels[-1] if p6_from == "c5" else channels, channels, 3, 2)
            if extra == "p6p7":
                self.p7 = _conv(channels, channels, 3, 2)

    def hybrid_forward(self, F, maps):
        """Maps (B, C', H, W) of the backbone, finest first -> as many (B, C, H, W), then extra."""
        merged = [inner(level) for inner, level in zip(self.inner_blocks, maps)]
        for fine in reversed(range(len(self._steps))):
            above = merged[fine + 1]
            if self._steps[fine] > 1:
                above = _enlarged(F, above, self._steps[fine], merged[fine])
            merged[fine] = merged[fine] + above
        levels = self.levels(F, merged)
        if self._extra == "pool":
            levels.append(F.Pooling(levels[-1], kernel=(1, 1), stride=(2, 2), pool_type="max"))
        elif self._extra in ("p6", "p6p7"):
            sources = {"p5": levels, "c5": maps, "lateral": merged}
            levels.append(self.p6(sources[self._p6_from][-1]))
        if self._extra == "p6p7":
            levels.append(self.p7(relu(F, levels[-1])))
        return levels

    def levels(self, F, merged):
        """The merged maps, smoothed; what a subclass goes on from."""
        return [layer(level) for layer, level in zip(self.layer_blocks, merged)]


def _enlarged(F, coarse, step, fine):
    """Each cell of ``coarse`` repeated, cut to the size of ``fine``, which may be odd."""
    repeated = F.UpSampling(coarse, scale=step, sample_type="nearest")
    return F.slice_like(repeated, ops.plane(F, fine), axes=(2, 3))


def conv_block(before, channels, kernel, norm, stride=1, zero=False):
    """A convolution and its norm, if any; ``zero``: its weights are 0 at first."""
    block = FoldingSequential()
    with block.name_scope():
        block.add(_conv(before, channels, kernel, stride, use_bias=not norm, zero=zero))
        if norm:
            block.add(norm_layer(norm, channels))
    return block


def _conv(before, channels, kernel, stride=1, use_bias=True, zero=False):
    return nn.Conv2D(
        channels,
        kernel,
        stride,
        kernel // 2,
        use_bias=use_bias,
        in_channels=before,
        weight_initializer=init.Zero() if zero else init.Xavier("uniform", "in", 3),
    )


def _check(channels, extra, p6_from, strides, steps):
    if channels < 1:
        raise ValueError(f"channels is at least 1, not {channels}")
    if extra not in EXTRA:
        raise ValueError(f'extra is "pool", "p6", "p6p7" or "none", not {extra!r}')
    if p6_from not in ("p5", "c5", "lateral"):
        raise ValueError(f'p6_from is "p5", "c5" or "lateral", not {p6_from!r}')
    if not set(steps) <= {1, 2}:
        raise ValueError(f"each stride is the one before or twice that, not {list(strides)}")
