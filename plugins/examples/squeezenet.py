"""SqueezeNet 1.1 (Iandola et al. 2016) as a backbone: the worked example of a plugin."""

from mxnet.gluon import HybridBlock, nn

from detkit.models.layers import Conv2D
from detkit.registry import BACKBONES

# squeezed and expanded channels of the fire modules between two poolings (its code's v1.1)
STAGES = (
    ((16, 64), (16, 64)),
    ((32, 128), (32, 128)),
    ((48, 192), (48, 192), (64, 256), (64, 256)),
)


@BACKBONES.register()
class SqueezeNet(HybridBlock):
    """SqueezeNet 1.1 without its classifier: one map of 512 channels, of stride 16.

    The children are numbered as torchvision's, so that torchvision's squeezenet1_1 loads as it is.
    The first convolution pads its input, which torchvision's does not: a map then has exactly a
    sixteenth of the image's side.
    """

    channels = (512,)
    strides = (16,)

    def __init__(self) -> None:
        super().__init__()
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            self.features.add(Conv2D(64, 3, 2, 1, in_channels=3), nn.Activation("relu"))
            before = 64
            for stage in STAGES:
                self.features.add(nn.MaxPool2D(3, 2, ceil_mode=True))
                for squeezed, expanded in stage:
                    self.features.add(Fire(before, squeezed, expanded))
                    before = 2 * expanded

    def hybrid_forward(self, F, images):
        """images (B, 3, H, W) -> [(B, 512, H / 16, W / 16)]."""
        return [self.features(images)]


class Fire(HybridBlock):
    """A 1x1 convolution to few channels, then a 1x1 and a 3x3 convolution of them together."""

    def __init__(self, before: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        with self.name_scope():
            self.squeeze = Conv2D(squeezed, 1, in_channels=before)
            self.expand1x1 = Conv2D(expanded, 1, in_channels=squeezed)
            self.expand3x3 = Conv2D(expanded, 3, 1, 1, in_channels=squeezed)

    def hybrid_forward(self, F, x):
        """(B, before, H, W) -> (B, 2 x expanded, H, W)."""
        few = F.relu(self.squeeze(x))
        return F.relu(F.concat(self.expand1x1(few), self.expand3x3(few), dim=1))
