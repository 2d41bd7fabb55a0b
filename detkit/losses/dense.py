"""The loss of the head of a one-stage detector."""

from typing import Optional, Tuple

from detkit.losses.balanced import SigmoidFocal
from detkit.losses.elements import BINARY
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
