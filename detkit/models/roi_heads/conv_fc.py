"""Convolutions, then fully connected layers: the wider RoI heads."""

from typing import Optional, Sequence

from mxnet.gluon import nn

from detkit.models.layers import conv_relu
from detkit.models.roi_heads.fc import FCHead
from detkit.registry import HEADS


@HEADS.register()
class ConvFCHead(FCHead):
    """3x3 convolutions over the RoI's cells before the layers of FCHead.

    The defaults are the "4conv1fc" of Wu and He 2018 (section 5.2).

    convs: widths of the convolutions.
    norm: one of layers.NORMS after each; the convolutions then have no bias.
    hidden, dropout, class_agnostic, he_init: see FCHead.
    """

    def __init__(
        self,
        in_channels: int,
        in_size: int,
        num_classes: int,
        convs: Sequence[int] = (256, 256, 256, 256),
        norm: Optional[str] = None,
        hidden: Sequence[int] = (1024,),
        dropout: float = 0.0,
        class_agnostic: bool = False,
        he_init: bool = True,
    ):
        if not convs or any(width < 1 for width in convs):
            raise ValueError(f"convs are one width or more of at least 1, not {list(convs)}")
        super().__init__(
            convs[-1],
            in_size,
            num_classes,
            hidden=hidden,
            dropout=dropout,
            class_agnostic=class_agnostic,
            he_init=he_init,
        )
        with self.name_scope():
            self.convs = nn.HybridSequential(prefix="convs_")
            with self.convs.name_scope():
                for before, width in zip((in_channels, *convs), convs):
                    self.convs.add(conv_relu(before, width, norm))

    def hybrid_forward(self, F, roi_features):
        """As FCHead: (B * R, C, P, P) -> class logits (B * R, 1 + K), deltas (B * R, K or 1, 4)."""
        return super().hybrid_forward(F, self.convs(roi_features))
