"""Losses of dense predictions: of every anchor, and of every cell of a mask or a heatmap."""

from typing import Optional, Tuple

from mxnet.gluon import HybridBlock

from detkit.losses.balanced import SigmoidFocal
from detkit.losses.elements import BINARY, binary_cross_entropy, cross_entropy
from detkit.losses.heads import HeadLoss, divided, one_hot
from detkit.typing import Namespace, PerLevel, Tensor


class DenseLoss(HeadLoss):
    """The class loss and the box loss of all anchors (Lin et al. 2017b).

    Both are divided by the number of positive anchors of the batch: nothing is sampled, and nearly
    all anchors are negative ones, whose focal loss is almost 0 (section 4.1). The class loss
    compares every logit with whether the anchor is of that class.
    """

    CLASS_LOSS, COMPARES = SigmoidFocal, (BINARY,)

    def hybrid_forward(
        self,
        F: Namespace,
        class_logits: PerLevel,
        deltas: PerLevel,
        labels: Tensor,
        targets: Tensor,
        anchors: Optional[PerLevel] = None,
    ) -> Tuple[Tensor, Tensor]:
        """Returns the class loss (1,) and the box loss (1,).

        class_logits (B, N, K), deltas (B, N, 4) and anchors (1, N, 4) of each level; labels (B, N)
        1 + k for class k, and targets (B, N, 4) of all levels, one level after another.
        """
        logits, moves = F.concat(*class_logits, dim=1), F.concat(*deltas, dim=1)
        moved = None if anchors is None else F.concat(*anchors, dim=1)
        losses = F.sum(self.class_loss(logits, one_hot(F, labels - 1, logits, axis=2)), axis=2)
        class_losses = losses * (labels >= 0) * self._class_weight
        box_losses = self.box_losses(F, moves, targets, labels > 0, moved)
        return divided(F, class_losses, box_losses, labels > 0)


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


class KeypointLoss(HybridBlock):
    """The cross entropy of the softmax over the cells of each heatmap (He et al. 2017, section 5).

    Each keypoint has its own heatmap, so that keypoints do not compete. The loss is divided by the
    number of keypoints that are trained on, as in torchvision and Detectron2.

    weight: the factor of the loss.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self._weight = weight

    def hybrid_forward(self, F: Namespace, logits: Tensor, cells: Tensor) -> Tensor:
        """Returns the loss (1,) of logits (B * R, J, M, M) and cells (B, R, J).

        A cell is 0..M * M - 1, or below 0 for a keypoint that is not trained on.
        """
        cells, trained = F.reshape(cells, shape=(-1,)), F.reshape(cells >= 0, shape=(-1,))
        rows = F.reshape(logits, shape=(-3, -3))
        losses = cross_entropy(F, rows, F.relu(cells)) * trained
        return F.broadcast_div(F.sum(losses), F.maximum(F.sum(trained), 1)) * self._weight
