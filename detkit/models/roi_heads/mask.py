"""The convolutional mask head: features of a RoI -> the mask of the object in it."""

from typing import Any, Optional

from mxnet.gluon import HybridBlock, nn

from detkit.models.blocks import conv_layers
from detkit.models.layers import HE_FAN_IN
from detkit.models.norms import Norm
from detkit.registry import HEADS
from detkit.typing import Namespace, Tensor


@HEADS.register()
class MaskHead(HybridBlock):
    """3x3 convolutions, a deconvolution that doubles the side, and one mask for each class.

    This is the head of He et al. 2017, figure 4 (right), with the initialisation of He et al. 2015.

    in_channels, in_size: derived from the mask's RoI extractor; num_classes: from the dataset.
    convs: the number of 3x3 convolutions. channels: the width of all layers.
    class_agnostic: whether there is one mask per RoI instead of one for each class.
    norm: one of norms.NORMS after each 3x3 convolution; these then have no bias.

    The attribute ``size`` is M, the cells along a side of a mask.
    """

    def __init__(
        self,
        in_channels: int,
        in_size: int,
        num_classes: int,
        convs: int = 4,
        channels: int = 256,
        class_agnostic: bool = False,
        norm: Optional[Norm] = None,
    ) -> None:
        super().__init__()
        self.size = 2 * in_size
        he = {"weight_initializer": HE_FAN_IN}
        with self.name_scope():
            self.convs = conv_layers(in_channels, convs, channels, norm)
            width = channels if convs else in_channels
            self.deconv = SplitDeconv(channels, width, activation="relu", **he)
            self.masks = nn.Conv2D(
                1 if class_agnostic else num_classes, 1, in_channels=channels, **he
            )

    def hybrid_forward(self, F: Namespace, roi_features: Tensor, labels: Tensor) -> Tensor:
        """Returns the logits (B, R, M, M) of the mask of each RoI's class; M is 2 P.

        roi_features (B * R, C, P, P); labels (B, R) in 0..K-1. A label below 0 means class 0.
        """
        logits = self.masks(self.deconv(self.convs(roi_features)))  # each of a quarter of a mask
        labels_of_quarters = F.broadcast_axis(F.reshape(labels, shape=(-1, 1)), axis=1, size=4)
        masks = joined(F, of_class(F, logits, labels_of_quarters))
        return F.reshape_like(masks, labels, lhs_begin=0, lhs_end=2, rhs_begin=0, rhs_end=2)


def of_class(F: Namespace, logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the mask (N, 1, M, M) of each row's class.

    logits (N, K or 1, M, M), of which a class-agnostic mask serves all classes; N labels in 0..K-1,
    of any shape. A label below 0 means class 0.
    """
    rows = F.slice_axis(logits, axis=1, begin=0, end=1)
    own = F.broadcast_like(F.reshape(labels, shape=(-1, 1, 1, 1)), rows)
    own = F.pick(logits, F.squeeze(own, axis=1), axis=1, mode="clip")
    return F.expand_dims(own, axis=1)


class SplitDeconv(nn.Conv2DTranspose):
    """A deconvolution of kernel 2 and stride 2: (N, C, H, W) -> (4 N, C', H, W).

    Its windows do not overlap: each cell makes 2x2 cells of its own. That is a 1x1 convolution,
    which a CPU computes faster and can compute with fewer bits. The four maps of an image, of the
    upper left, upper right, lower left and lower right cells, stay separate, because 1x1 layers
    after it treat every cell alike; ``joined`` puts the output of the last layer together. The
    weights have the names and shapes of a deconvolution.
    """

    def __init__(self, channels: int, in_channels: int, **options: Any) -> None:
        super().__init__(channels, 2, strides=2, in_channels=in_channels, **options)

    def hybrid_forward(self, F: Namespace, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Returns the four maps (4 N, C', H, W), after the activation if there is one."""
        filters = 4 * self._channels
        kernel = F.reshape(F.transpose(weight, axes=(2, 3, 1, 0)), shape=(filters, -1, 1, 1))
        shift = F.tile(bias, reps=(4,))
        x = F.Convolution(x, kernel, shift, kernel=(1, 1), num_filter=filters, name="fwd")
        x = x if self.act is None else self.act(x)
        return F.reshape(x, shape=(-1, self._channels, 0, 0))


def joined(F: Namespace, maps: Tensor) -> Tensor:
    """Returns one map (N, 1, 2 H, 2 W) for each four of a SplitDeconv, (4 N, 1, H, W)."""
    return F.depth_to_space(F.reshape(maps, shape=(-1, 4, 0, 0)), block_size=2)
