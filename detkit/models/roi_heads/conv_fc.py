"""The RoI head of convolutions and fully connected layers."""

from typing import Optional, Sequence, Tuple

from mxnet.gluon import nn

from detkit.models.blocks import conv_relu
from detkit.models.norms import Norm
from detkit.models.roi_heads.fc import FCHead
from detkit.registry import HEADS
from detkit.typing import Namespace, Tensor


@HEADS.register()
class ConvFCHead(FCHead):
    """An FCHead with 3x3 convolutions over the RoI's cells before its layers.

    The defaults are the "4conv1fc" of Wu and He 2018 (section 5.2).

    convs: the widths of the convolutions.
    norm: one of norms.NORMS after each of them; the convolutions then have no bias.
    hidden, dropout, class_agnostic, he_init: see FCHead.
    """

    def __init__(
        self,
        in_channels: int,
        in_size: int,
        num_classes: int,
        convs: Sequence[int] = (256, 256, 256, 256),
        norm: Optional[Norm] = None,
        hidden: Sequence[int] = (1024,),
        dropout: float = 0.0,
        class_agnostic: bool = False,
        he_init: bool = True,
    ) -> None:
        if not convs or any(width < 1 for width in convs):
            raise ValueError(
                f"convs: expected one or more widths of at least 1, found {list(convs)}"
            )
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

    def hybrid_forward(self, F: Namespace, roi_features: Tensor) -> Tuple[Tensor, Tensor]:
        """Returns class logits and deltas of roi_features (B * R, C, P, P), as FCHead does."""
        return super().hybrid_forward(F, self.convs(roi_features))
