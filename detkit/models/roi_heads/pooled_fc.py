"""The fully connected RoI head over RoIs of twice its resolution."""

from typing import Sequence, Tuple

from detkit.models.roi_heads.fc import FCHead
from detkit.registry import HEADS
from detkit.typing import Namespace, Tensor


@HEADS.register()
class PooledFCHead(FCHead):
    """An FCHead with an average pooling (3x3, stride 2, padded with zeros) before its layers.

    It is the head of GluonCV's mask_rcnn_fpn_*, whose RoIs have the resolution that the masks need,
    14 x 14 cells.

    For all arguments, see FCHead.
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
    ) -> None:
        super().__init__(
            in_channels,
            (in_size + 1) // 2,
            num_classes,
            hidden=hidden,
            dropout=dropout,
            class_agnostic=class_agnostic,
            he_init=he_init,
        )

    def hybrid_forward(self, F: Namespace, roi_features: Tensor) -> Tuple[Tensor, Tensor]:
        """Returns class logits and deltas of roi_features (B * R, C, P, P), as FCHead does."""
        halved = F.Pooling(
            roi_features,
            kernel=(3, 3),
            stride=(2, 2),
            pad=(1, 1),
            pool_type="avg",
            count_include_pad=True,
        )
        return super().hybrid_forward(F, halved)
