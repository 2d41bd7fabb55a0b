"""ZF (Zeiler and Fergus 2014), the small network of the Faster R-CNN paper."""

from typing import List

from mxnet.gluon import HybridBlock

from detkit.models.layers import HE_FAN_OUT, Conv2D
from detkit.models.norms import freeze
from detkit.registry import BACKBONES
from detkit.typing import Namespace, Tensor

# kernel, channels, stride of conv1 to conv5
CONVOLUTIONS = ((7, 96, 2), (5, 256, 2), (3, 384, 1), (3, 384, 1), (3, 256, 1))


@BACKBONES.register()
class ZF(HybridBlock):
    """The layers conv1 to conv5 of py-faster-rcnn's models/pascal_voc/ZF, with its names.

    conv1 and conv2 are normalised within each channel and pooled. Caffe's pooling rounds up, so
    that a side of 224 pixels gives 15 cells at stride 16.

    frozen_stages: the number of convolutions, from the first on, whose weights are frozen.
    """

    channels = (256,)
    strides = (16,)

    def __init__(self, frozen_stages: int = 0) -> None:
        super().__init__()
        if not 0 <= frozen_stages <= len(CONVOLUTIONS):
            raise ValueError(
                f"frozen_stages: expected 0 to {len(CONVOLUTIONS)}, found {frozen_stages}"
            )
        before = 3
        with self.name_scope():
            for number, (kernel, channels, stride) in enumerate(CONVOLUTIONS, 1):
                conv = Conv2D(
                    channels,
                    kernel,
                    stride,
                    kernel // 2,
                    in_channels=before,
                    activation="relu",
                    weight_initializer=HE_FAN_OUT,
                )
                if number <= frozen_stages:
                    freeze(conv)
                setattr(self, f"conv{number}", conv)
                before = channels

    def hybrid_forward(self, F: Namespace, images: Tensor) -> List[Tensor]:
        """Returns one map (B, 256, H / 16, W / 16), rounded up, of images (B, 3, H, W)."""
        x = _pooled(F, normalised(F, self.conv1(images)))
        x = _pooled(F, normalised(F, self.conv2(x)))
        return [self.conv5(self.conv4(self.conv3(x)))]


def normalised(
    F: Namespace, x: Tensor, size: int = 3, alpha: float = 5e-5, beta: float = 0.75
) -> Tensor:
    """Returns x / (1 + alpha m)^beta; m is the mean of the squares of ``size`` x ``size`` cells.

    x is (B, C, H, W), and beyond its border are zeros. This is Caffe's LRN WITHIN_CHANNEL, while
    Krizhevsky et al. 2012 add up over channels.
    """
    window = {"kernel": (size, size), "stride": (1, 1), "pad": (size // 2, size // 2)}
    means = F.Pooling(F.square(x), pool_type="avg", count_include_pad=True, **window)
    return x * (1 + alpha * means) ** -beta


def _pooled(F: Namespace, x: Tensor) -> Tensor:
    """Returns the maximum of 3x3 cells at every second cell, with Caffe's rounding up."""
    window = {"kernel": (3, 3), "stride": (2, 2), "pad": (1, 1)}
    return F.Pooling(x, pool_type="max", pooling_convention="full", **window)
