"""What the heads are trained with: a class loss and a box loss each, and the loss of the masks."""

from typing import Optional, Sequence

from mxnet.gluon import HybridBlock

from detkit.boxes import decode, deltas_of
from detkit.losses.elements import (
    BINARY,
    BOXES,
    DELTAS,
    LABELS,
    CrossEntropy,
    SigmoidBCE,
    SigmoidFocal,
    binary_cross_entropy,
    compared_by,
)
from detkit.registry import LOSSES


class HeadLoss(HybridBlock):
    """A class loss and a box loss of one head, each weighted and divided by a number of rows.

    A subclass says what the rows are. In every one of them, labels are 0 for the background, above
    0 for an object and below 0 for a row that is not trained on.

    box: the loss of the deltas or, if it compares BOXES, of the boxes that they make.
    class_loss: built of the config's key ``class``; by default the paper's.
    box_weights: derived from the part that decodes the deltas in testing.
    class_weight, box_weight: factors of the two losses.
    """

    PARTS = {"box": LOSSES, "class_loss": LOSSES}
    KEYS = {"class_loss": "class"}
    CLASS_LOSS, COMPARES = None, ()  # the default class loss, and what a class loss may compare

    def __init__(
        self,
        box,
        class_loss=None,
        box_weights: Sequence[float] = (1, 1, 1, 1),
        class_weight: float = 1.0,
        box_weight: float = 1.0,
    ):
        super().__init__()
        class_loss = class_loss or self.CLASS_LOSS()
        _check("box", box, (DELTAS, BOXES))
        _check("class", class_loss, self.COMPARES)
        self._box_weights = box_weights
        self._class_weight, self._box_weight = class_weight, box_weight
        with self.name_scope():
            self.box = box
            self.class_loss = class_loss

    def forward(self, logits, deltas, labels, targets, boxes=None):
        """The class loss and the box loss, (1,) each.

        boxes: those that the deltas move. Where the box loss compares deltas they go no further,
            since a hybridized block refuses an input that it does not read.
        """
        read = [boxes] if compared_by(self.box) == BOXES else []
        return super().forward(logits, deltas, labels, targets, *read)

    def box_losses(self, F, deltas, targets, positive, boxes):
        """Box losses (B, N), 0 for all but the ``positive`` rows (B, N).

        deltas and targets (B, N, 4); boxes (B or 1, N, 4), or None where deltas are compared.
        """
        if boxes is not None:
            deltas, targets = (decode(F, d, boxes, self._box_weights) for d in (deltas, targets))
        return F.sum(self.box(deltas, targets), axis=-1) * positive * self._box_weight

    def class_losses(self, F, logits, labels, trained):
        """Class losses (B, N), 0 for all but the ``trained`` rows (B, N)."""
        return self.class_loss(logits, labels) * trained * self._class_weight


class RPNLoss(HeadLoss):
    """Objectness and box loss of the anchors (Ren et al. 2015, section 3.1.2).

    Both are divided by the number of sampled anchors of the batch, as in torchvision and
    Detectron2. (The paper divides the box loss by the number of anchor positions and makes up for
    it with lambda = 10, which is nearly the same.)
    """

    CLASS_LOSS, COMPARES = SigmoidBCE, (BINARY,)

    def hybrid_forward(self, F, objectness, deltas, labels, targets, anchors=None):
        """Two losses (1,).

        objectness (B, N), deltas (B, N, 4) and anchors (1, N, 4) of each level; labels (B, N) 1, 0
        or -1 and targets (B, N, 4) of all levels, one after another.
        """
        logits, deltas = F.concat(*objectness, dim=1), F.concat(*deltas, dim=1)
        anchors = None if anchors is None else F.concat(*anchors, dim=1)
        class_losses = self.class_losses(F, logits, labels > 0, labels >= 0)
        box_losses = self.box_losses(F, deltas, targets, labels > 0, anchors)
        return divided(F, class_losses, box_losses, labels >= 0)


class DenseLoss(HeadLoss):
    """Class and box loss of all the anchors (Lin et al. 2017b).

    Both are divided by the number of positive anchors of the batch: nothing is sampled, and nearly
    all anchors are negatives that cost nearly nothing under a focal loss (section 4.1). The class
    loss asks of every logit whether the anchor is of its class.
    """

    CLASS_LOSS, COMPARES = SigmoidFocal, (BINARY,)

    def hybrid_forward(self, F, class_logits, deltas, labels, targets, anchors=None):
        """Two losses (1,).

        class_logits (B, N, K), deltas (B, N, 4) and anchors (1, N, 4) of each level; labels (B, N)
        1 + k for class k, and targets (B, N, 4) of all levels, one after another.
        """
        logits, deltas = F.concat(*class_logits, dim=1), F.concat(*deltas, dim=1)
        anchors = None if anchors is None else F.concat(*anchors, dim=1)
        losses = F.sum(self.class_loss(logits, one_hot(F, labels - 1, logits, axis=2)), axis=2)
        class_losses = losses * (labels >= 0) * self._class_weight
        box_losses = self.box_losses(F, deltas, targets, labels > 0, anchors)
        return divided(F, class_losses, box_losses, labels > 0)


class RoILoss(HeadLoss):
    """Class and box loss of the RoIs (Girshick 2015, section 2.3).

    Both are divided by the number of sampled RoIs of the batch. A class loss that compares BINARY
    asks of every logit, that of the background too, whether the RoI is of its class; the detector
    must then score by the sigmoid, ``Postprocess(scores="sigmoid")``.

    num_classes: derived from the dataset; the weights of a CrossEntropy are one more.
    """

    CLASS_LOSS, COMPARES = CrossEntropy, (LABELS, BINARY)

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

    def hybrid_forward(self, F, class_logits, deltas, labels, targets, rois=None):
        """Two losses (1,).

        class_logits (B * S, 1 + K), deltas (B * S, K or 1, 4), labels (B, S) 1 + k for class k,
        targets (B, S, 4), rois (B, S, 4).
        """
        class_losses, box_losses = self.of_each(F, class_logits, deltas, labels, targets, rois)
        return divided(F, class_losses, box_losses, labels >= 0)

    def of_each(self, F, class_logits, deltas, labels, targets, rois=None):
        """The class losses and the box losses (B, S) of the RoIs, not divided."""
        rows = F.reshape(labels, shape=(-1,))
        classes = F.relu(rows)
        if compared_by(self.class_loss) == LABELS:
            losses = self.class_loss(class_logits, classes)
        else:
            compared = one_hot(F, classes, class_logits, axis=1)
            losses = F.sum(self.class_loss(class_logits, compared), axis=1)
        class_losses = F.reshape_like(losses * (rows >= 0), labels) * self._class_weight
        # Of the K boxes of a RoI only that of its class is trained.
        deltas = F.reshape_like(deltas_of(F, deltas, rows - 1), targets)
        rois = rois if compared_by(self.box) == BOXES else None
        return class_losses, self.box_losses(F, deltas, targets, labels > 0, rois)


class MaskLoss(HybridBlock):
    """Mean binary cross entropy of the cells of the positive RoIs, of the mask of their class.

    The other classes' masks are not trained by an RoI, so that classes do not compete (He et al.
    2017, section 3). Divided by the number of positive RoIs, as in torchvision and Detectron2: a
    negative RoI has no mask.

    weight: factor of the loss.
    """

    def __init__(self, weight: float = 1.0):
        super().__init__()
        self._weight = weight

    def hybrid_forward(self, F, logits, classes, targets):
        """The loss (1,) of logits (B, R, M, M), classes (B, R) and targets (B, R, M, M)."""
        losses = binary_cross_entropy(F, logits, targets)
        positive = classes >= 0
        losses = F.mean(losses, axis=(2, 3)) * positive
        return F.broadcast_div(F.sum(losses), F.maximum(F.sum(positive), 1)) * self._weight


def divided(F, class_losses, box_losses, counted):
    """The sums (1,) of two kinds of losses (B, N), divided by how many rows are ``counted``."""
    count = F.maximum(F.sum(counted), 1)
    return F.broadcast_div(F.sum(class_losses), count), F.broadcast_div(F.sum(box_losses), count)


def one_hot(F, classes, logits, axis):
    """1 where the place along the last ``axis`` of ``logits`` is that of the row's class, else 0.

    classes: of the shape of ``logits`` without the axis; below 0, the row has no 1.
    """
    places = F.contrib.arange_like(logits, axis=axis)
    places = F.reshape(places, shape=(1,) * axis + (-1,))
    return F.broadcast_equal(F.expand_dims(classes, axis=axis), places)


def _check(key, loss, kinds):
    kind = compared_by(loss)
    if kind not in kinds:
        raise ValueError(
            f"{key}: the loss {type(loss).__name__} compares {kind}; one is needed that compares "
            f"{' or '.join(kinds)}"
        )
