"""The head of R-CNN: classes from its last layer, boxes from the map itself."""

from typing import Dict, Sequence, Tuple

from mxnet.gluon import HybridBlock

from detkit import ops
from detkit.models.roi_heads.fc import fc_layers, predictor, vgg_names
from detkit.registry import HEADS
from detkit.typing import Namespace, Tensor


@HEADS.register()
class RCNNHead(HybridBlock):
    """Class logits of fully connected layers over a region's map, and box deltas of that map.

    The SVMs of Girshick et al. 2014 read the last hidden layer (section 2.3), their box regressors
    the map before the first (pool5, appendix C). detkit fit-svms fits both. A training fits the
    layers and a softmax; with ``box_weight: 0`` in ``roi_loss`` it leaves the boxes to the tool, as
    the paper does. The defaults are VGG16's pool5, fc6 and fc7.

    in_channels, in_size: derived from the backbone; num_classes: from the dataset.
    hidden: the widths of the layers.
    dropout: the share, in [0, 1), that is dropped after each of them during training.
    pool: whether a 2x2 max pooling comes first, as after VGG's last convolution.
    he_init: see FCHead.
    """

    def __init__(
        self,
        in_channels: int,
        in_size: int,
        num_classes: int,
        hidden: Sequence[int] = (4096, 4096),
        dropout: float = 0.5,
        pool: bool = True,
        he_init: bool = False,
    ) -> None:
        super().__init__()
        if pool and in_size < 2:
            raise ValueError(f"pool: expected false for a map of {in_size} cell a side, found true")
        self._pool, self._classes = pool, num_classes
        side = in_size // 2 if pool else in_size
        width = in_channels * side * side
        with self.name_scope():
            self.fc = fc_layers(width, hidden, dropout, he_init)
            self.classes = predictor(1 + num_classes, hidden[-1] if hidden else width, 0.01)
            self.boxes = predictor(num_classes * 4, width, 0.001)

    def pretrained_part(self) -> Tuple[HybridBlock, Dict[str, str]]:
        """Returns fc6 and fc7, and {our name: name in torchvision's VGG files}."""
        return self.fc, vgg_names(self.fc)

    def features(self, F: Namespace, roi_features: Tensor) -> Tuple[Tensor, Tensor]:
        """Returns what the layers of the classes and of the boxes read, each (B * R, width).

        roi_features (B * R, C, P, P).
        """
        cells = F.flatten(ops.max_pool(F, roi_features) if self._pool else roi_features)
        return self.fc(cells), cells

    def hybrid_forward(self, F: Namespace, roi_features: Tensor) -> Tuple[Tensor, Tensor]:
        """Returns class logits and deltas of roi_features (B * R, C, P, P), as FCHead does."""
        hidden, cells = self.features(F, roi_features)
        deltas = F.reshape(self.boxes(cells), shape=(0, self._classes, 4))
        return self.classes(hidden), deltas
