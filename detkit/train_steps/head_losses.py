"""What the heads are trained with: a class loss and a box loss each."""

from typing import Optional, Sequence

from mxnet.gluon import HybridBlock

from detkit.boxes import decode
from detkit.losses import (
    BINARY,
    BOXES,
    DELTAS,
    LABELS,
    CrossEntropy,
    SigmoidBCE,
    SigmoidFocal,
    compared_by,
)
from detkit.models.refine import deltas_of


class _RowLosses(HybridBlock):
    """The class loss and the box loss of every row, weighted; 0 where it is not trained on."""

    def __init__(self, box, class_loss, box_weights, class_weight, box_weight):
        super().__init__()
        self._decoding = box_weights
        self._class_weight, self._box_weight = class_weight, box_weight
        with self.name_scope():
            self.box = box
            self.class_loss = class_loss

    def _box_losses(self, F, deltas, targets, positive, origins):
        """(B, N) of deltas and targets (B, N, 4), positive (B, N); origins: boxes or None."""
        if origins is not None:
            deltas, targets = (decode(F, d, origins, self._decoding) for d in (deltas, targets))
        return F.sum(self.box(deltas, targets), axis=-1) * positive * self._box_weight


class _RPNRowLosses(_RowLosses):
    def hybrid_forward(self, F, logits, deltas, labels, targets, anchors=None):
        """Class and box losses (B, N) of the anchors; arguments as for RPNLoss or DenseLoss."""
        logits, deltas = F.concat(*logits, dim=1), F.concat(*deltas, dim=1)
        class_losses = self._class_losses(F, logits, labels) * (labels >= 0) * self._class_weight
        origins = None if anchors is None else F.concat(*anchors, dim=1)
        return class_losses, self._box_losses(F, deltas, targets, labels > 0, origins)

    def _class_losses(self, F, logits, labels):
        return self.class_loss(logits, labels > 0)


class _DenseRowLosses(_RPNRowLosses):
    def _class_losses(self, F, logits, labels):
        classes = F.reshape(F.contrib.arange_like(logits, axis=2), shape=(1, 1, -1))
        is_class = F.broadcast_equal(F.expand_dims(labels - 1, axis=2), classes)
        return F.sum(self.class_loss(logits, is_class), axis=2)


class _RoIRowLosses(_RowLosses):
    def hybrid_forward(self, F, class_logits, deltas, labels, targets, rois=None):
        """Class and box losses (B, S) of the RoIs; arguments as for RoILoss."""
        rows = F.reshape(labels, shape=(-1,))
        class_losses = self._class_losses(F, class_logits, F.relu(rows)) * (rows >= 0)
        class_losses = F.reshape_like(class_losses, labels) * self._class_weight

        # Of the K boxes of a RoI only that of its class is trained.
        deltas = F.reshape_like(deltas_of(F, deltas, rows - 1), targets)
        return class_losses, self._box_losses(F, deltas, targets, labels > 0, rois)

    def _class_losses(self, F, logits, labels):
        if compared_by(self.class_loss) == LABELS:
            return self.class_loss(logits, labels)
        classes = F.reshape(F.contrib.arange_like(logits, axis=1), shape=(1, -1))
        is_class = F.broadcast_equal(F.expand_dims(labels, axis=1), classes)
        return F.sum(self.class_loss(logits, is_class), axis=1)


class _ClassAndBoxLoss(HybridBlock):
    """A class loss and a box loss, both divided by the number of sampled rows of the whole batch.

    Not by the positives, as in torchvision and Detectron2. (The paper divides the RPN's box loss by
    the number of anchor positions and makes up for it with lambda = 10: nearly the same.)

    box: the loss of the deltas or, if it compares BOXES, of the boxes they make.
    class_loss: built from ``class``; by default the paper's.
    box_weights: derived from the part that decodes in testing.
    class_weight, box_weight: factors of the two.
    """

    def __init__(
        self,
        box,
        class_loss=None,
        box_weights: Sequence[float] = (1, 1, 1, 1),
        class_weight: float = 1.0,
        box_weight: float = 1.0,
    ):
        super().__init__()
        class_loss = class_loss or self._default_class_loss()
        _check("box", box, (DELTAS, BOXES))
        _check("class", class_loss, self._class_kinds)
        self._moves_boxes = compared_by(box) == BOXES
        with self.name_scope():
            self.rows = self._rows(box, class_loss, box_weights, class_weight, box_weight)

    def origins(self, boxes):
        """``(boxes,)``, the last argument, where the box loss needs what the deltas move, or ()."""
        return (boxes,) if self._moves_boxes else ()

    def hybrid_forward(self, F, logits, deltas, labels, targets, *origins):
        """Two losses (1,); the arguments are those of ``rows``."""
        class_losses, box_losses = self.rows(logits, deltas, labels, targets, *origins)
        count = F.maximum(F.sum(self._counted(labels)), 1)
        return F.broadcast_div(F.sum(class_losses), count), F.broadcast_div(
            F.sum(box_losses), count
        )

    def _counted(self, labels):
        """1 for each of labels (B, N) that the losses are divided by."""
        return labels >= 0


def _check(key, loss, kinds):
    kind = compared_by(loss)
    if kind not in kinds:
        raise ValueError(
            f"{key}: the loss {type(loss).__name__} compares {kind}; one is needed that compares "
            f"{' or '.join(kinds)}"
        )


class RPNLoss(_ClassAndBoxLoss):
    """Objectness and box loss of the anchors (Ren et al. 2015, section 3.1.2).

    objectness (B, N) and deltas (B, N, 4) of each level; labels (B, N) and targets (B, N, 4) of all
    levels, one after another; perhaps anchors (1, N, 4) of each level.
    """

    _rows, _default_class_loss, _class_kinds = _RPNRowLosses, SigmoidBCE, (BINARY,)


class DenseLoss(_ClassAndBoxLoss):
    """Class and box loss of all the anchors (Lin et al. 2017b), by the positive ones of the batch.

    Nothing is sampled, and nearly all anchors are negatives that cost nearly nothing under a focal
    loss: divided by their number, the loss of the others would vanish (section 4.1).

    class_logits (B, N, K) and deltas (B, N, 4) of each level; labels (B, N) and targets (B, N, 4)
    of all levels, one after another; perhaps anchors (1, N, 4) of each level. The class loss asks
    of every logit whether the anchor is of its class.
    """

    _rows, _default_class_loss, _class_kinds = _DenseRowLosses, SigmoidFocal, (BINARY,)

    def _counted(self, labels):
        return labels > 0


class RoILoss(_ClassAndBoxLoss):
    """Class and box loss of the RoIs (Girshick 2015, section 2.3).

    class_logits (B * S, 1 + K), deltas (B * S, K or 1, 4), labels (B, S), targets (B, S, 4);
    perhaps RoIs (B, S, 4). A class loss that compares BINARY asks of every logit, that of the
    background too, whether the RoI is of its class.

    num_classes: derived from the dataset; the weights of a CrossEntropy are one more.
    """

    _rows, _default_class_loss, _class_kinds = _RoIRowLosses, CrossEntropy, (LABELS, BINARY)

    def __init__(
        self,
        box,
        class_loss=None,
        box_weights: Sequence[float] = (1, 1, 1, 1),
        class_weight: float = 1.0,
        box_weight: float = 1.0,
        num_classes: Optional[int] = None,
    ):
        super().__init__(box, class_loss, box_weights, class_weight, box_weight)
        count = len(getattr(class_loss, "weights", ()))
        if count and num_classes is not None and count != 1 + num_classes:
            raise ValueError(
                f"class: there are {count} weights for {num_classes} classes; expected "
                f"{1 + num_classes}, that of the background first"
            )
