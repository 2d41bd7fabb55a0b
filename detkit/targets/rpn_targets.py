"""What the region proposal network should have said of each anchor."""

from typing import Optional, Sequence

from mxnet.gluon import HybridBlock

from detkit import boxes
from detkit.registry import ASSIGNERS, SAMPLERS
from detkit.targets.assigners import POSITIVE, matched_iou, matched_objects
from detkit.targets.samplers import IOU, needs_of


class RPNTargets(HybridBlock):
    """Assign the anchors, sample them, encode the boxes (Ren et al. 2015, section 3.1).

    straddle: pixels by which an anchor may cross the image's border and still be trained on
        (Detectron's RPN_STRADDLE_THRESH); null: any number of them, as in torchvision.
    box_weights: derived from the proposals, which decode with the same.
    """

    PARTS = {"assigner": ASSIGNERS, "sampler": SAMPLERS}

    def __init__(
        self, assigner, sampler, box_weights: Sequence[float], straddle: Optional[float] = 0.0
    ):
        super().__init__()
        if straddle is not None and straddle < 0:
            raise ValueError(
                f"straddle: expected at least 0 or null, found {straddle}; null lets anchors cross "
                "the border by any number of pixels"
            )
        refused = [need for need in needs_of(sampler) if need != IOU]
        if refused:
            raise ValueError(
                f"the sampler {type(sampler).__name__} needs {' and '.join(refused)}, which RoIs "
                "have and anchors have not; it belongs in roi_targets"
            )
        self._needs_iou = IOU in needs_of(sampler)
        self._box_weights, self._straddle = box_weights, straddle
        with self.name_scope():
            self.assigner = assigner
            self.sampler = sampler

    def hybrid_forward(self, F, anchors, sizes, gt_boxes, gt_labels):
        """(B, N) labels 1 object, 0 background, -1 not trained on; (B, N, 4) box targets.

        anchors (1, N, 4) of each level, sizes (B, 2) h, w, gt_boxes (B, G, 4), gt_labels (B, G) -1
        for padding. The results are of all levels, one after another.
        """
        anchors = F.concat(*anchors, dim=1)
        candidates = self._inside(F, anchors, sizes)
        labels, matched = self.assigner(anchors, candidates, gt_boxes, gt_labels)
        objects, classes = matched_objects(F, gt_boxes, gt_labels, matched)
        if self._needs_iou:
            labels = self.sampler(labels, matched_iou(F, anchors, objects, classes))
        else:
            labels = self.sampler(labels)
        labels = self._labels(F, labels, classes)
        return labels, boxes.encode(F, objects, anchors, self._box_weights)

    def _labels(self, F, labels, classes):
        """Labels (B, N) as returned; classes (B, N) of the objects that the anchors match."""
        return labels

    def _inside(self, F, anchors, sizes):
        """(B, N) 1 for the anchors that do not cross the image's border too far."""
        beyond = F.broadcast_sub(anchors, boxes.clip(F, anchors, sizes))
        beyond = F.max(F.abs(beyond), axis=2)
        return F.ones_like(beyond) if self._straddle is None else beyond <= self._straddle


class DenseTargets(RPNTargets):
    """As RPNTargets, with the class of each object (Lin et al. 2017b, section 4).

    Anchors that cross the image's border are trained on. A focal loss wants all of them: the
    PseudoSampler.

    box_weights: derived from the postprocessing, which decodes with the same.
    """

    def __init__(self, assigner, sampler, box_weights: Sequence[float]):
        super().__init__(assigner, sampler, box_weights, straddle=None)

    def _labels(self, F, labels, classes):
        """(B, N) 0 background, 1 + k for class k, -1 not trained on."""
        return F.where(labels == POSITIVE, classes + 1, labels)
