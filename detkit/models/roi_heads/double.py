"""The RoI head with one branch for the class and another for the box."""

from typing import Sequence, Tuple

from mxnet.gluon import HybridBlock, nn

from detkit.models.backbones.residual import BlockOptions, Bottleneck, Residual, conv
from detkit.models.layers import conv_norm
from detkit.models.norms import Norm, norm_layer
from detkit.models.roi_heads.fc import fc_layers, predictor
from detkit.registry import HEADS
from detkit.typing import Namespace, Tensor


@HEADS.register()
class DoubleHead(HybridBlock):
    """Fully connected layers for the class logits, convolutions for the box deltas.

    This is the head of Wu et al. 2020, section 4, without its non-local blocks. Separate weights
    for every cell distinguish a whole object from a part, and convolutions find its border.

    in_channels, in_size: derived from the RoI extractor; num_classes: from the dataset.
    hidden: the widths of the fully connected layers.
    blocks: the number of residual blocks, 5 as in MMDetection. The deltas are computed from the
        mean of their output over the cells.
    channels: of the output of each block, a multiple of 4.
    norm: the norm of the blocks, one of norms.NORMS, see norm_layer.
    class_agnostic: whether there is one box per RoI instead of one for each class.
    """

    def __init__(
        self,
        in_channels: int,
        in_size: int,
        num_classes: int,
        hidden: Sequence[int] = (1024, 1024),
        blocks: int = 5,
        channels: int = 1024,
        norm: Norm = "BN",
        class_agnostic: bool = False,
    ) -> None:
        super().__init__()
        if blocks < 1:
            raise ValueError(f"blocks: expected at least 1, found {blocks}")
        if channels < 4 or channels % 4:
            raise ValueError(f"channels: expected a multiple of 4, found {channels}")
        self._boxes = 1 if class_agnostic else num_classes
        width = in_channels * in_size * in_size
        with self.name_scope():
            self.fc = fc_layers(width, hidden, dropout=0, he_init=True)
            self.convs = nn.HybridSequential(prefix="convs_")
            with self.convs.name_scope():
                self.convs.add(Widening(in_channels, channels, norm))
                for _ in range(blocks - 1):
                    self.convs.add(Bottleneck(channels, channels // 4, BlockOptions(norm=norm)))
            self.classes = predictor(1 + num_classes, hidden[-1] if hidden else width, 0.01)
            self.boxes = predictor(self._boxes * 4, channels, 0.001)

    def hybrid_forward(self, F: Namespace, roi_features: Tensor) -> Tuple[Tensor, Tensor]:
        """Returns class logits and deltas of roi_features (B * R, C, P, P), as FCHead does."""
        deltas = self.boxes(F.mean(self.convs(roi_features), axis=(2, 3)))
        logits = self.classes(self.fc(F.flatten(roi_features)))
        return logits, F.reshape(deltas, shape=(0, self._boxes, 4))


class Widening(Residual):
    """A 3x3 convolution, and a 1x1 convolution to more channels (Wu et al. 2020, section 4.1)."""

    def __init__(self, before: int, channels: int, norm: Norm) -> None:
        super().__init__()
        with self.name_scope():
            self.conv1 = conv(before, before, 3)
            self.bn1 = norm_layer(norm, before)
            self.conv2 = conv(before, channels, 1)
            self.bn2 = norm_layer(norm, channels)
            self.downsample = self.shortcut(before, channels, 1, BlockOptions(norm=norm))

    def branch(self, F: Namespace, x: Tensor, shortcut: Tensor) -> Tensor:
        """Returns ReLU(branch + shortcut): (N, channels, P, P)."""
        hidden = conv_norm(F, x, self.conv1, self.bn1, rectified=True)
        return conv_norm(F, hidden, self.conv2, self.bn2, rectified=True, residual=shortcut)
