"""Feature Pyramid Network (Lin et al. 2017): strong features at every resolution."""

from typing import List, Optional, Sequence

from mxnet.gluon import HybridBlock, nn

from detkit import ops
from detkit.models.blocks import conv_block, convolution
from detkit.models.layers import relu
from detkit.models.norms import Norm
from detkit.registry import NECKS
from detkit.typing import Namespace, PerLevel, Tensor

EXTRA = {"pool": 1, "p6": 1, "p6p7": 2, "none": 0}  # levels beyond the backbone's


@NECKS.register()
class FPN(HybridBlock):
    """A Feature Pyramid Network (Lin et al. 2017, section 3).

    Each map of the backbone passes a 1x1 convolution, the coarser level above it is added, and the
    sum passes a 3x3 convolution.

    in_channels, strides: derived from the backbone.
    channels: C of every map that is returned.
    extra: the coarser levels beyond those of the backbone. "pool": every second cell of the last
        level (FPN's P6, for large anchors); "p6p7": two convolutions of stride 2 (RetinaNet, Lin et
        al. 2017b); "p6": the first of these two; "none".
    p6_from: the input of "p6" and "p6p7". "p5": the last level, as in torchvision; "c5": the last
        map of the backbone, as in the paper; "lateral": that map after its 1x1 convolution, as in
        GluonCV.
    norm: one of norms.NORMS after each convolution except those of P6 and P7; the convolutions
        then have no bias.
    zero_init_laterals: whether the 1x1 convolutions begin at zero, so that a pretrained backbone
        gets no gradient from a neck that has learnt nothing yet.

    Children have torchvision's names, p6 and p7 without its ``extra_blocks``.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        channels: int = 256,
        extra: str = "pool",
        p6_from: str = "p5",
        norm: Optional[Norm] = None,
        zero_init_laterals: bool = False,
    ) -> None:
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
                self.p6 = convolution(
                    in_channels[-1] if p6_from == "c5" else channels, channels, 3, 2
                )
            if extra == "p6p7":
                self.p7 = convolution(channels, channels, 3, 2)

    def hybrid_forward(self, F: Namespace, maps: PerLevel) -> List[Tensor]:
        """Returns levels (B, C, H, W), finest first: one for each map, then the extra levels.

        maps: of the backbone, (B, C', H, W), finest first.
        """
        merged = [inner(level) for inner, level in zip(self.inner_blocks, maps)]
        for fine in reversed(range(len(self._steps))):
            above = merged[fine + 1]
            if self._steps[fine] > 1:
                above = ops.upsample(F, above, merged[fine], self._steps[fine])
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

    def levels(self, F: Namespace, merged: PerLevel) -> List[Tensor]:
        """Returns the merged maps (B, C, H, W) after their 3x3 convolutions."""
        return [layer(level) for layer, level in zip(self.layer_blocks, merged)]


def _check(
    channels: int, extra: str, p6_from: str, strides: Sequence[int], steps: Sequence[int]
) -> None:
    if channels < 1:
        raise ValueError(f"channels: expected at least 1, found {channels}")
    if extra not in EXTRA:
        raise ValueError(f"extra: expected one of {', '.join(map(repr, EXTRA))}, found {extra!r}")
    if p6_from not in ("p5", "c5", "lateral"):
        raise ValueError(f"p6_from: expected 'p5', 'c5' or 'lateral', found {p6_from!r}")
    if not set(steps) <= {1, 2}:
        raise ValueError(
            "strides: expected each to be the one before or twice that, found "
            f"{list(strides)}; choose others by the backbone's out_strides"
        )
