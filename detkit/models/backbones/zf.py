"""ZF (Zeiler and Fergus 2014), the small network of the Faster R-CNN paper."""

from mxnet.gluon import HybridBlock, nn

from detkit.models.layers import HE_FAN_OUT, freeze
from detkit.registry import BACKBONES

# kernel, channels, stride of conv1 to conv5
CONVOLUTIONS = ((7, 96, 2), (5, 256, 2), (3, 384, 1), (3, 384, 1), (3, 256, 1))


@BACKBONES.register()
class ZF(HybridBlock):
    """conv1 to conv5 as py-faster-rcnn's models/pascal_voc/ZF has them, names too: stride 16.

    conv1 and conv2 are normalised within each channel and pooled. Caffe's pooling rounds up, so a
    side of 224 gives 15 cells.

    frozen_stages: the first so many convolutions keep their weights.
    """

    channels = (256,)
    strides = (16,)

    def __init__(self, frozen_stages: int = 0):
        super().__init__()
        if not 0 <= frozen_stages <= len(CONVOLUTIONS):
            raise ValueError(f"frozen_stages is 0 to 5, not {frozen_stages}")
        before = 3
        with self.name_scope():
            for number, (kernel, channels, stride) in enumerate(CONVOLUTIONS, 1):
                conv = nn.Conv2D(
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

    def hybrid_forward(self, F, images):
        """images (B, 3, H, W) -> a list of one map (B, 256, H / 16, W / 16), rounded up."""
        x = _pooled(F, normalised(F, self.conv1(images)))
        x = _pooled(F, normalised(F, self.conv2(x)))
        return [self.conv5(self.conv4(self.conv3(x)))]


def normalised(F, x, size=3, alpha=5e-5, beta=0.75):
    """x / (1 + alpha m)^beta, m the mean of the squares of ``size`` x ``size`` neighbours.

    Caffe's LRN WITHIN_CHANNEL (Krizhevsky et al. 2012 add up over channels instead); beyond the
    border are zeros.
    """
    window = {"kernel": (size, size), "stride": (1, 1), "pad": (size // 2, size // 2)}
    means = F.Pooling(F.square(x), pool_type="avg", count_include_pad=True, **window)
    return x * (1 + alpha * means) ** -beta


def _pooled(F, x):
    window = {"kernel": (3, 3), "stride": (2, 2), "pad": (1, 1)}
    return F.Pooling(x, pool_type="max", pooling_convention="full", **window)
