"""The fully connected RoI head whose class logits are cosines, for classes with few images."""

from typing import Optional, Sequence

from mxnet import init
from mxnet.gluon import nn

from detkit.models.roi_heads.fc import FCHead
from detkit.registry import HEADS
from detkit.typing import Namespace, Tensor

LEAST_SQUARE = 1e-10  # is added to squared lengths, so that a row of zeros has a gradient


class CosineClassifier(nn.Dense):
    """A layer of cosines: the scaled cosine of each row and the weights of each class.

    units: the number of classes, with the background. width: that of a row. scale: the logit of a
    row that points in the direction of a class.

    Its weights have the name and the shape of a Dense's, and there is no bias.
    """

    def __init__(self, units: int, width: int, scale: float) -> None:
        normal = init.Normal(0.01)
        super().__init__(units, use_bias=False, in_units=width, weight_initializer=normal)
        self._scale = scale

    def hybrid_forward(
        self, F: Namespace, rows: Tensor, weight: Tensor, bias: Optional[Tensor] = None
    ) -> Tensor:
        """Returns logits (R, units) in [-scale, scale] of rows (R, width)."""
        # No FullyConnected: INT8 would quantize it, and expects weights that are in the file.
        product = F.batch_dot(
            F.expand_dims(_unit(F, rows), axis=0),
            F.expand_dims(_unit(F, weight), axis=0),
            transpose_b=True,
        )
        return F.reshape(product, shape=(-3, 0)) * self._scale


def _unit(F: Namespace, rows: Tensor) -> Tensor:
    """Returns rows (R, width) of length 1."""
    squares = F.sum(F.square(rows), axis=1, keepdims=True)
    return F.broadcast_div(rows, F.sqrt(squares + LEAST_SQUARE))


@HEADS.register()
class CosineFCHead(FCHead):
    """An FCHead whose class logits are cosines of the RoI's features and the weights of each class.

    The lengths of features and weights have no influence, which may differ between classes of many
    images and classes of few. The head is that of Wang et al. 2020, "Frustratingly Simple Few-Shot
    Object Detection", whose scale is 20. The other defaults are the layers of an FPN's head.

    scale: the factor of the cosines, above 0.
    hidden, dropout, class_agnostic, he_init: see FCHead.
    """

    def __init__(
        self,
        in_channels: int,
        in_size: int,
        num_classes: int,
        scale: float = 20.0,
        hidden: Sequence[int] = (1024, 1024),
        dropout: float = 0.0,
        class_agnostic: bool = False,
        he_init: bool = True,
    ) -> None:
        if not scale > 0:
            raise ValueError(f"scale: expected a number above 0, found {scale!r}")
        super().__init__(
            in_channels,
            in_size,
            num_classes,
            hidden=hidden,
            dropout=dropout,
            class_agnostic=class_agnostic,
            he_init=he_init,
        )
        width = hidden[-1] if hidden else in_channels * in_size * in_size
        with self.name_scope():
            self.classes = CosineClassifier(1 + num_classes, width, scale)
