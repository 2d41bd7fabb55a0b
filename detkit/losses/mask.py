"""The loss of a mask head."""

from mxnet.gluon import HybridBlock

from detkit.losses.elements import binary_cross_entropy
from detkit.typing import Namespace, Tensor


class MaskLoss(HybridBlock):
    """The mean binary cross entropy of the cells of each positive RoI, in the mask of its class.

    A RoI does not train the masks of other classes, so that classes do not compete (He et al. 2017,
    section 3). The loss is divided by the number of positive RoIs, as in torchvision and
    Detectron2, because a negative RoI has no mask.

    weight: the factor of the loss.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self._weight = weight

    def hybrid_forward(
        self, F: Namespace, logits: Tensor, classes: Tensor, targets: Tensor
    ) -> Tensor:
        """Returns the loss (1,) of logits (B, R, M, M), classes (B, R) and targets (B, R, M, M)."""
        losses = binary_cross_entropy(F, logits, targets)
        positive = classes >= 0
        losses = F.mean(losses, axis=(2, 3)) * positive
        return F.broadcast_div(F.sum(losses), F.maximum(F.sum(positive), 1)) * self._weight
