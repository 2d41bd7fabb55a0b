"""A RoI head of two halves: one tells what it is, the other where."""

from typing import Sequence

from mxnet.gluon import HybridBlock, nn

from detkit.models.backbones.residual import Bottleneck, Residual, conv
from detkit.models.layers import conv_norm, norm_layer, relu
from detkit.models.roi_heads.fc import fc_layers, predictor
from detkit.registry import HEADS


@HEADS.register()
class DoubleHead(HybridBlock):
    """Fully connected layers give the class logits, convolutions the box deltas.

    Wu et al. 2020, section 4, without its non-local blocks: weights of their own for every cell
    tell a whole object from a part, and convolutions find its border.

    in_channels, in_size: derived from the RoI extractor; num_classes: from the dataset.
    hidden: widths of the fully connected layers.
    blocks: how many residual blocks, 5 as in MMDetection; the deltas are made of their mean over
        the cells.
    channels: of the blocks' outputs, a multiple of 4. norm: theirs, see norm_layer.
    class_agnostic: one box per RoI instead of one for each class.
    """

    def __init__(
        self,
        in_channels: int,
        in_size: int,
        num_classes: int,
        hidden: Sequence[int] = (1024, 1024),
        blocks: int = 5,
        channels: int = 1024,
        norm: str = "BN",
        class_agnostic: bool = False,
    ):
        super().__init__()
        if blocks < 1 or channels < 4 or channels % 4:
            raise ValueError(
                f"blocks is at least 1 and channels is a multiple of 4, not {blocks}, {channels}"
            )
        self._boxes = 1 if class_agnostic else num_classes
        width = in_channels * in_size * in_size
        with self.name_scope():
            self.fc = fc_layers(width, hidden, dropout=0, he_init=True)
            self.convs = nn.HybridSequential(prefix="convs_")
            with self.convs.name_scope():
                self.convs.add(Widening(in_channels, channels, norm))
                for _ in range(blocks - 1):
                    self.convs.add(Bottleneck(channels, channels // 4, norm=norm))
            self.classes = predictor(1 + num_classes, hidden[-1] if hidden else width, 0.01)
            self.boxes = predictor(self._boxes * 4, channels, 0.001)

    def hybrid_forward(self, F, roi_features):
        """As FCHead: (B * R, C, P, P) -> class logits (B * R, 1 + K), deltas (B * R, K or 1, 4)."""
        deltas = self.boxes(F.mean(self.convs(roi_features), axis=(2, 3)))
        logits = self.classes(self.fc(F.flatten(roi_features)))
        return logits, F.reshape(deltas, shape=(0, self._boxes, 4))


class Widening(Residual):
    """A 3x3 convolution and a 1x1 to more channels (Wu et al. 2020, section 4.1)."""

    def __init__(self, before, channels, norm):
        super().__init__()
        with self.name_scope():
            self.conv1 = conv(before, before, 3)
            self.bn1 = norm_layer(norm, before)
            self.conv2 = conv(before, channels, 1)
            self.bn2 = norm_layer(norm, channels)
            self.downsample = self.shortcut(before, channels, 1, norm)

    def branch(self, F, x):
        """What is added to the shortcut."""
        hidden = relu(F, conv_norm(F, x, self.conv1, self.bn1))
        return conv_norm(F, hidden, self.conv2, self.bn2)
