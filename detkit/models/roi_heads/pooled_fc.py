"""A fully connected RoI head over RoIs of twice its resolution."""

from typing import Sequence

from detkit.models.roi_heads.fc import FCHead
from detkit.registry import HEADS


@HEADS.register()
class PooledFCHead(FCHead):
    """A 3x3 average, padded with zeros, at every second cell; then the layers of FCHead.

    GluonCV's mask_rcnn_fpn_*: the RoIs are pooled at the resolution that its masks need, 14 x 14.

    All arguments: see FCHead.
    """

    def __init__(
        self,
        in_channels: int,
        in_size: int,
        num_classes: int,
        hidden: Sequence[int] = (1024, 1024),
        dropout: float = 0.0,
        class_agnostic: bool = False,
        he_init: bool = True,
    ):
        super().__init__(
            in_channels,
            (in_size + 1) // 2,
            num_classes,
            hidden=hidden,
            dropout=dropout,
            class_agnostic=class_agnostic,
            he_init=he_init,
        )

    def hybrid_forward(self, F, roi_features):
        """As FCHead: (B * R, C, P, P) -> class logits (B * R, 1 + K), deltas (B * R, K or 1, 4)."""
        halved = F.Pooling(
            roi_features,
            kernel=(3, 3),
            stride=(2, 2),
            pad=(1, 1),
            pool_type="avg",
            count_include_pad=True,
        )
        return super().hybrid_forward(F, halved)
