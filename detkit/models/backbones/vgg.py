"""VGG (Simonyan and Zisserman 2014), up to the last convolution, as Faster R-CNN uses it."""

from mxnet import init
from mxnet.gluon import HybridBlock, nn

from detkit.models.layers import FoldingSequential
from detkit.registry import BACKBONES

# Convolutions of each stage; a stage ends with a 2x2 max pooling, except the fifth.
STAGE_DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
STAGE_WIDTHS = (64, 128, 256, 512, 512)


@BACKBONES.register()
class VGG(HybridBlock):
    """conv1_1 to conv5_3 (depth 16): four poolings, stride 16.

    depth: 11, 13, 16 or 19.
    batch_norm: normalise after each convolution, as torchvision's vgg16_bn does; what makes
        training from scratch start.
    frozen_stages: the first so many stages keep their weights (and batch statistics).

    New convolutions get He's initialisation (He et al. 2015). Children are numbered as in
    torchvision's ``features``.
    """

    channels = 512
    stride = 16

    def __init__(self, depth: int = 16, batch_norm: bool = False, frozen_stages: int = 2):
        super().__init__()
        if depth not in STAGE_DEPTHS:
            raise ValueError(f"depth is one of {sorted(STAGE_DEPTHS)}, not {depth}")
        if not 0 <= frozen_stages <= 5:
            raise ValueError(f"frozen_stages is 0 to 5, not {frozen_stages}")
        in_channels = 3
        with self.name_scope():
            self.features = FoldingSequential(prefix="")
            for stage, (convs, width) in enumerate(zip(STAGE_DEPTHS[depth], STAGE_WIDTHS)):
                frozen = stage < frozen_stages
                if stage > 0:
                    self.features.add(nn.MaxPool2D(2, 2))
                for _ in range(convs):
                    self.features.add(*_conv(in_channels, width, batch_norm, frozen))
                    in_channels = width

    def hybrid_forward(self, F, images):
        """images (B, 3, H, W) -> features (B, 512, H / 16, W / 16)."""
        return self.features(images)


def _conv(in_channels, width, batch_norm, frozen):
    layers = [
        nn.Conv2D(
            width,
            3,
            padding=1,
            in_channels=in_channels,
            weight_initializer=init.Xavier("gaussian", "out", 2),
        )
    ]
    if batch_norm:
        layers.append(nn.BatchNorm(in_channels=width, use_global_stats=frozen))
    layers.append(nn.Activation("relu"))
    if frozen:
        for layer in layers:
            layer.collect_params().setattr("grad_req", "null")
    return layers
