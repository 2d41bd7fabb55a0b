"""Cascade R-CNN with masks: those of the last boxes, by one head."""

from typing import Any, Tuple

from detkit.models.detectors.cascade_rcnn import (
    CascadeRCNN,
    MeanLogits,
    cascaded,
    scores_of,
    weights_of_stages,
)
from detkit.models.detectors.network import Network
from detkit.registry import DETECTORS, HEADS, ROI_EXTRACTORS
from detkit.typing import Namespace, PerLevel, Tensor


@DETECTORS.register()
class CascadeMaskRCNN(Network):
    """A detector with the boxes of CascadeRCNN and the masks of MaskRCNN, as in Detectron2.

    mmdetection has a mask head for each stage instead.

    The attribute ``stage_weights`` holds what the deltas dx dy dw dh of each stage are divided by.
    """

    PARTS = {**CascadeRCNN.PARTS, "mask_extractor": ROI_EXTRACTORS, "mask_head": HEADS}
    BOXES = CascadeRCNN

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.stage_weights = weights_of_stages(self)
        with self.name_scope():
            self.mean = MeanLogits(scores_of(self))

    def hybrid_forward(
        self, F: Namespace, images: Tensor, sizes: Tensor, *scales: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns boxes, scores, labels and masks; arguments and results are those of MaskRCNN."""
        features = self.features(images, sizes)
        anchors = self.anchors_of(images, features)
        objectness, anchor_deltas = self.rpn_head(self.anchored(features))
        proposals, proposal_scores = self.proposals(
            anchors, objectness, anchor_deltas, sizes, *scales
        )
        rois, class_logits, box_deltas = cascaded(self, features, proposals, sizes)
        boxes, scores, labels = self.postprocess(
            rois, proposal_scores, class_logits, box_deltas, sizes
        )
        return boxes, scores, labels, self.masks_of(F, features, boxes, labels)

    def masks_of(self, F: Namespace, features: PerLevel, boxes: Tensor, labels: Tensor) -> Tensor:
        """Returns the masks (B, D, M, M) of boxes (B, D, 4) of the classes labels (B, D)."""
        return F.sigmoid(self.mask_head(self.mask_extractor(features, boxes), labels))
