"""Path Aggregation Network (Liu et al. 2018): a pyramid, and a short way up from its finest map."""

from typing import List, Optional, Sequence

from mxnet.gluon import nn

from detkit.models.blocks import conv_block
from detkit.models.layers import relu
from detkit.models.necks.fpn import FPN
from detkit.models.norms import Norm
from detkit.registry import NECKS
from detkit.typing import Namespace, PerLevel, Tensor


@NECKS.register()
class PAFPN(FPN):
    """An FPN with a bottom-up path after it (section 3.1).

    N2 is P2. Each further level N is the sum of its P and of the finer N before it, which a 3x3
    convolution of stride 2 brings to the same size. A 3x3 convolution follows. Both convolutions
    end in a ReLU.

    For all arguments, see FPN. P6 and P7 are computed from the last N.
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
        super().__init__(
            in_channels,
            strides,
            channels=channels,
            extra=extra,
            p6_from=p6_from,
            norm=norm,
            zero_init_laterals=zero_init_laterals,
        )
        with self.name_scope():
            self.down_blocks = nn.HybridSequential()
            self.fused_blocks = nn.HybridSequential()
            for step in self._steps:
                self.down_blocks.add(conv_block(channels, channels, 3, norm, step))
                self.fused_blocks.add(conv_block(channels, channels, 3, norm))

    def levels(self, F: Namespace, merged: PerLevel) -> List[Tensor]:
        """Returns the levels N (B, C, H, W) of the merged maps."""
        levels = super().levels(F, merged)
        for n, (down, fused) in enumerate(zip(self.down_blocks, self.fused_blocks)):
            levels[n + 1] = relu(F, fused(levels[n + 1] + relu(F, down(levels[n]))))
        return levels
