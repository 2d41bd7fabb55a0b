"""Mask heads: features of a RoI -> where in it the object is."""

from typing import Optional

from mxnet.gluon import HybridBlock, nn

from detkit.models.layers import HE_FAN_IN, SplitDeconv, conv_relu, joined
from detkit.registry import HEADS


@HEADS.register()
class MaskHead(HybridBlock):
    """3x3 convolutions, one deconvolution that doubles the side, one mask for each class.

    He et al. 2017, figure 4 (right); initialised as He et al. 2015.

    in_channels, in_size: derived from the mask's RoI extractor; num_classes: from the dataset.
    convs: how many 3x3 convolutions. channels: width of all layers.
    class_agnostic: one mask per RoI instead of one for each class.
    norm: one of layers.NORMS after each 3x3 convolution; these then have no bias.
    """

    def __init__(
        self,
        in_channels: int,
        in_size: int,
        num_classes: int,
        convs: int = 4,
        channels: int = 256,
        class_agnostic: bool = False,
        norm: Optional[str] = None,
    ):
        super().__init__()
        if convs < 0 or channels < 1:
            raise ValueError(
                f"convs is not negative and channels at least 1, not {convs}, {channels}"
            )
        self.size = 2 * in_size
        he = {"weight_initializer": HE_FAN_IN}
        with self.name_scope():
            self.convs = nn.HybridSequential(prefix="convs_")
            with self.convs.name_scope():
                for _ in range(convs):
                    self.convs.add(conv_relu(in_channels, channels, norm))
                    in_channels = channels
            self.deconv = SplitDeconv(channels, in_channels, activation="relu", **he)
            self.masks = nn.Conv2D(
                1 if class_agnostic else num_classes, 1, in_channels=channels, **he
            )

    def hybrid_forward(self, F, roi_features, labels):
        """(B * R, C, P, P), labels (B, R) -> logits (B, R, M, M) of the masks, M = ``size`` = 2 P.

        A mask is that of the RoI's class; labels are 0..K-1, and below 0 it is class 0.
        """
        logits = self.masks(self.deconv(self.convs(roi_features)))  # of quarters of the masks
        labels_of_quarters = F.broadcast_axis(F.reshape(labels, shape=(-1, 1)), axis=1, size=4)
        masks = joined(F, of_class(F, logits, labels_of_quarters))
        return F.reshape_like(masks, labels, lhs_begin=0, lhs_end=2, rhs_begin=0, rhs_end=2)


def of_class(F, logits, labels):
    """The mask (N, 1, M, M) of each row's class: logits (N, K or 1, M, M), N labels of any shape.

    Labels are 0..K-1; below 0 it is that of class 0. A class-agnostic mask is that of all classes.
    """
    rows = F.slice_axis(logits, axis=1, begin=0, end=1)
    own = F.broadcast_like(F.reshape(labels, shape=(-1, 1, 1, 1)), rows)
    own = F.pick(logits, F.squeeze(own, axis=1), axis=1, mode="clip")
    return F.expand_dims(own, axis=1)
