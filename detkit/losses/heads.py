"""Losses of the heads: one for the classes and one for the boxes."""

from typing import ClassVar, Optional, Sequence, Tuple, Type

from mxnet.gluon import HybridBlock

from detkit.boxes import decode, deltas_of
from detkit.losses.elements import (
    BINARY,
    BOXES,
    DELTAS,
    LABELS,
    CrossEntropy,
    SigmoidBCE,
    compared_by,
)
from detkit.registry import LOSSES
from detkit.typing import Namespace, NDArray, PerLevel, Tensor

SAMPLED, LOCATIONS = "sampled", "locations"  # what the box loss of the anchors is divided by


class HeadLoss(HybridBlock):
    """The base of a class loss and a box loss of one head, each weighted and divided by a count.

    A subclass says what the rows are: anchors or RoIs. The label of a row is 0 for the background,
    above 0 for an object, and below 0 if the row is not trained on.

    box: the loss of the deltas or, if it compares BOXES, of the boxes that they decode to.
    class_loss: the class loss, under the key ``class`` in a config; by default that of the paper.
    box_weights: what the deltas dx dy dw dh are divided by; derived from the part that decodes them
        in testing.
    class_weight, box_weight: factors of the two losses.
    """

    PARTS = {"box": LOSSES, "class_loss": LOSSES}
    KEYS = {"class_loss": "class"}
    CLASS_LOSS: ClassVar[Type[HybridBlock]]  # the default class loss
    COMPARES: ClassVar[Tuple[str, ...]] = ()  # what a class loss may compare

    def __init__(
        self,
        box: HybridBlock,
        class_loss: HybridBlock = None,  # not Optional: a config leaves it out, and sets no null
        box_weights: Sequence[float] = (1, 1, 1, 1),
        class_weight: float = 1.0,
        box_weight: float = 1.0,
    ) -> None:
        super().__init__()
        class_loss = class_loss or self.CLASS_LOSS()
        _check("box", box, (DELTAS, BOXES))
        _check("class", class_loss, self.COMPARES)
        self._box_weights = box_weights
        self._class_weight, self._box_weight = class_weight, box_weight
        with self.name_scope():
            self.box = box
            self.class_loss = class_loss

    def forward(self, logits: NDArray, *others: NDArray) -> Tuple[NDArray, NDArray]:
        """Returns the class loss (1,) and the box loss (1,).

        The arguments are those of ``hybrid_forward`` of the subclass. The last one, the boxes that
        the deltas move, is not passed on if the box loss compares deltas, because a hybridized
        block refuses an input that it does not read.
        """
        read = 4 if compared_by(self.box) == BOXES else 3
        return super().forward(logits, *others[:read])

    def box_losses(
        self,
        F: Namespace,
        deltas: Tensor,
        targets: Tensor,
        positive: Tensor,
        boxes: Optional[Tensor],
    ) -> Tensor:
        """Returns box losses (B, N), 0 for all rows that are not ``positive`` (B, N).

        deltas and targets (B, N, 4); boxes (B or 1, N, 4), or None if the loss compares deltas.
        """
        if boxes is not None:
            deltas, targets = (decode(F, d, boxes, self._box_weights) for d in (deltas, targets))
        return F.sum(self.box(deltas, targets), axis=-1) * positive * self._box_weight


class RPNLoss(HeadLoss):
    """The objectness loss and the box loss of the anchors (Ren et al. 2015, section 3.1.2).

    Both are divided by the number of sampled anchors of the batch, as in torchvision and
    Detectron2. The paper divides the box loss by the number of anchor locations, some 2400 cells of
    a map, and multiplies it by lambda = 10, which is nearly the same. This needs a
    ``box_normalizer`` of "locations" and a ``box_weight`` of 10.

    box, class_loss, box_weights, class_weight, box_weight: see HeadLoss.
    box_normalizer: "sampled", or "locations": the box loss is divided by the cells of all levels,
        with those of the padding, times the images of the batch.
    num_anchors: A, derived from the anchors; "locations" counts cells by it.
    """

    CLASS_LOSS, COMPARES = SigmoidBCE, (BINARY,)

    def __init__(
        self,
        box: HybridBlock,
        class_loss: HybridBlock = None,  # not Optional: a config leaves it out, and sets no null
        box_weights: Sequence[float] = (1, 1, 1, 1),
        class_weight: float = 1.0,
        box_weight: float = 1.0,
        box_normalizer: str = SAMPLED,
        num_anchors: Optional[int] = None,
    ) -> None:
        super().__init__(box, class_loss, box_weights, class_weight, box_weight)
        if box_normalizer not in (SAMPLED, LOCATIONS):
            raise ValueError(
                f"box_normalizer: expected {SAMPLED!r} or {LOCATIONS!r}, found {box_normalizer!r}"
            )
        if box_normalizer == LOCATIONS and num_anchors is None:
            raise ValueError(
                f"box_normalizer: expected num_anchors with {LOCATIONS!r}, found None; a training "
                "step derives it from the anchors"
            )
        self._num_anchors = num_anchors if box_normalizer == LOCATIONS else None

    def hybrid_forward(
        self,
        F: Namespace,
        objectness: PerLevel,
        deltas: PerLevel,
        labels: Tensor,
        targets: Tensor,
        anchors: Optional[PerLevel] = None,
    ) -> Tuple[Tensor, Tensor]:
        """Returns the objectness loss (1,) and the box loss (1,).

        objectness (B, N), deltas (B, N, 4) and anchors (1, N, 4) of each level; labels (B, N) 1, 0
        or -1 and targets (B, N, 4) of all levels, one level after another.
        """
        logits, moves = F.concat(*objectness, dim=1), F.concat(*deltas, dim=1)
        moved = None if anchors is None else F.concat(*anchors, dim=1)
        class_losses = self.class_loss(logits, labels > 0) * (labels >= 0) * self._class_weight
        box_losses = self.box_losses(F, moves, targets, labels > 0, moved)
        class_loss, box_loss = divided(F, class_losses, box_losses, labels >= 0)
        if self._num_anchors is None:
            return class_loss, box_loss
        locations = F.sum(F.ones_like(labels)) / self._num_anchors
        return class_loss, F.broadcast_div(F.sum(box_losses), locations)


class RoILoss(HeadLoss):
    """The class loss and the box loss of the RoIs (Girshick 2015, section 2.3).

    Both are divided by the number of sampled RoIs of the batch. A class loss that compares BINARY
    compares every logit, the background's too, with whether the RoI is of that class. The detector
    must then score by the sigmoid, ``Postprocess(scores="sigmoid")``.

    box, class_loss, box_weights, class_weight, box_weight: see HeadLoss.
    num_classes: K, derived from the dataset; a CrossEntropy has 1 + K weights.
    box_statistics: derived from the postprocessing; restores normalised deltas and targets for a
        box loss that compares BOXES. None: they are not normalised.
    """

    CLASS_LOSS, COMPARES = CrossEntropy, (LABELS, BINARY)

    def __init__(
        self,
        box: HybridBlock,
        class_loss: HybridBlock = None,  # not Optional: a config leaves it out, and sets no null
        box_weights: Sequence[float] = (1, 1, 1, 1),
        class_weight: float = 1.0,
        box_weight: float = 1.0,
        num_classes: Optional[int] = None,
        box_statistics: Optional[HybridBlock] = None,
    ) -> None:
        super().__init__(box, class_loss, box_weights, class_weight, box_weight)
        with self.name_scope():  # MXNet warns of parameters that a block does not read
            self.box_statistics = box_statistics if compared_by(box) == BOXES else None
        count = len(getattr(class_loss, "weights", ()))
        if count and num_classes is not None and count != 1 + num_classes:
            raise ValueError(
                f"class: expected {1 + num_classes} weights for {num_classes} classes, that of the "
                f"background first, found {count} weights"
            )

    def hybrid_forward(
        self,
        F: Namespace,
        class_logits: Tensor,
        deltas: Tensor,
        labels: Tensor,
        targets: Tensor,
        rois: Optional[Tensor] = None,
    ) -> Tuple[Tensor, Tensor]:
        """Returns the class loss (1,) and the box loss (1,).

        class_logits (B * S, 1 + K), deltas (B * S, K or 1, 4), labels (B, S) 1 + k for class k,
        targets (B, S, 4), rois (B, S, 4).
        """
        class_losses, box_losses = self.of_each(F, class_logits, deltas, labels, targets, rois)
        return divided(F, class_losses, box_losses, labels >= 0)

    def of_each(
        self,
        F: Namespace,
        class_logits: Tensor,
        deltas: Tensor,
        labels: Tensor,
        targets: Tensor,
        rois: Optional[Tensor] = None,
    ) -> Tuple[Tensor, Tensor]:
        """Returns the class losses and the box losses (B, S) of the RoIs, before the division."""
        rows = F.reshape(labels, shape=(-1,))
        classes = F.relu(rows)
        if compared_by(self.class_loss) == LABELS:
            losses = self.class_loss(class_logits, classes)
        else:
            compared = one_hot(F, classes, class_logits, axis=1)
            losses = F.sum(self.class_loss(class_logits, compared), axis=1)
        class_losses = F.reshape_like(losses * (rows >= 0), labels) * self._class_weight
        # Only the box of the RoI's own class, of its K boxes, is trained.
        deltas = F.reshape_like(deltas_of(F, deltas, rows - 1), targets)
        rois = rois if compared_by(self.box) == BOXES else None
        if self.box_statistics is not None:
            restored = self.box_statistics.restored
            deltas, targets = (restored(F, each, labels - 1) for each in (deltas, targets))
        return class_losses, self.box_losses(F, deltas, targets, labels > 0, rois)


def divided(
    F: Namespace, class_losses: Tensor, box_losses: Tensor, counted: Tensor
) -> Tuple[Tensor, Tensor]:
    """Returns the sums (1,) of two kinds of losses (B, N), divided by the number of ``counted``."""
    count = F.maximum(F.sum(counted), 1)
    return F.broadcast_div(F.sum(class_losses), count), F.broadcast_div(F.sum(box_losses), count)


def one_hot(F: Namespace, classes: Tensor, logits: Tensor, axis: int) -> Tensor:
    """Returns an array of the shape of ``logits``: 1 at the class of each row, else 0.

    axis: the last axis of ``logits``, along which the classes are.
    classes: of the shape of ``logits`` without that axis; a row below 0 has no 1.
    """
    places = F.contrib.arange_like(logits, axis=axis)
    places = F.reshape(places, shape=(1,) * axis + (-1,))
    return F.broadcast_equal(F.expand_dims(classes, axis=axis), places)


def _check(key: str, loss: HybridBlock, kinds: Sequence[str]) -> None:
    """Raises ValueError unless ``loss`` compares one of ``kinds``."""
    kind = compared_by(loss)
    if kind not in kinds:
        raise ValueError(
            f"{key}: expected a loss that compares {' or '.join(kinds)}, found "
            f"{type(loss).__name__}, which compares {kind}"
        )
