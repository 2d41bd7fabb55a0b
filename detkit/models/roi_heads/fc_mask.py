"""The fully connected mask head: features of a RoI -> the mask of the object in it."""

from typing import Optional, Sequence

from mxnet import init
from mxnet.gluon import HybridBlock, nn

from detkit.models.blocks import conv_layers
from detkit.models.layers import HE_FAN_IN
from detkit.models.norms import Norm
from detkit.models.roi_heads.mask import of_class
from detkit.registry import HEADS
from detkit.typing import Namespace, Tensor


@HEADS.register()
class FCMaskHead(HybridBlock):
    """Fully connected layers, then every cell of the masks of all classes at once.

    This is the "MLP" of He et al. 2017, table 2e; the defaults are the first of its two. Each
    output depends on the whole RoI and has its own weights. In the paper, its masks are worse than
    those of MaskHead. With ``convs``, it is a convolutional head with a fully connected output,
    which Detectron calls MRCNN.USE_FC_OUTPUT.

    in_channels, in_size: derived from the mask's RoI extractor; num_classes: from the dataset.
    hidden: the widths of the layers.
    size: M, the cells along a side of a mask.
    class_agnostic: whether there is one mask per RoI instead of one for each class.
    convs: the number of 3x3 convolutions before the layers. channels: their width.
    norm: one of norms.NORMS after each convolution; these then have no bias.
    """

    def __init__(
        self,
        in_channels: int,
        in_size: int,
        num_classes: int,
        hidden: Sequence[int] = (1024, 1024),
        size: int = 28,
        class_agnostic: bool = False,
        convs: int = 0,
        channels: int = 256,
        norm: Optional[Norm] = None,
    ) -> None:
        super().__init__()
        if any(units < 1 for units in hidden):
            raise ValueError(f"hidden: expected widths of at least 1, found {list(hidden)}")
        if size < 1:
            raise ValueError(f"size: expected at least 1, found {size}")
        self.size = size
        self._masks = 1 if class_agnostic else num_classes
        he = {"weight_initializer": HE_FAN_IN}
        width = (channels if convs else in_channels) * in_size * in_size
        with self.name_scope():
            self.convs = conv_layers(in_channels, convs, channels, norm)
            self.fc = nn.HybridSequential(prefix="fc_")
            with self.fc.name_scope():
                for units in hidden:
                    self.fc.add(nn.Dense(units, "relu", in_units=width, **he))
                    width = units
            self.masks = nn.Dense(
                self._masks * size * size, in_units=width, weight_initializer=init.Normal(0.01)
            )

    def hybrid_forward(self, F: Namespace, roi_features: Tensor, labels: Tensor) -> Tensor:
        """Returns the logits (B, R, M, M) of the mask of each RoI's class.

        roi_features (B * R, C, P, P); labels (B, R) in 0..K-1. A label below 0 means class 0.
        """
        logits = self.masks(self.fc(self.convs(roi_features)))
        logits = F.reshape(logits, shape=(0, self._masks, self.size, self.size))
        masks = of_class(F, logits, labels)
        return F.reshape_like(masks, labels, lhs_begin=0, lhs_end=2, rhs_begin=0, rhs_end=2)
