"""A mask head without convolutions."""

from typing import Sequence

from mxnet import init
from mxnet.gluon import HybridBlock, nn

from detkit.models.layers import HE_FAN_IN
from detkit.models.roi_heads.mask import of_class
from detkit.registry import HEADS


@HEADS.register()
class FCMaskHead(HybridBlock):
    """Fully connected layers, then every cell of every class's mask at once.

    He et al. 2017, table 2e ("MLP"), where the defaults are the first of its two: each output sees
    the whole RoI and has weights of its own, and the masks are worse than MaskHead's.

    in_channels, in_size: derived from the mask's RoI extractor; num_classes: from the dataset.
    hidden: widths of the layers. size: M, the side of a mask.
    class_agnostic: one mask per RoI instead of one for each class.
    """

    def __init__(
        self,
        in_channels: int,
        in_size: int,
        num_classes: int,
        hidden: Sequence[int] = (1024, 1024),
        size: int = 28,
        class_agnostic: bool = False,
    ):
        super().__init__()
        if any(units < 1 for units in hidden) or size < 1:
            raise ValueError(
                f"hidden are widths of at least 1 and size is at least 1, not {list(hidden)}, "
                f"{size}"
            )
        self.size = size
        self._masks = 1 if class_agnostic else num_classes
        he = {"weight_initializer": HE_FAN_IN}
        width = in_channels * in_size * in_size
        with self.name_scope():
            self.fc = nn.HybridSequential(prefix="fc_")
            with self.fc.name_scope():
                for units in hidden:
                    self.fc.add(nn.Dense(units, "relu", in_units=width, **he))
                    width = units
            self.masks = nn.Dense(
                self._masks * size * size, in_units=width, weight_initializer=init.Normal(0.01)
            )

    def hybrid_forward(self, F, roi_features, labels):
        """(B * R, C, P, P), labels (B, R) -> logits (B, R, M, M), as MaskHead; M = ``size``."""
        logits = self.masks(self.fc(roi_features))
        logits = F.reshape(logits, shape=(0, self._masks, self.size, self.size))
        masks = of_class(F, logits, labels)
        return F.reshape_like(masks, labels, lhs_begin=0, lhs_end=2, rhs_begin=0, rhs_end=2)
