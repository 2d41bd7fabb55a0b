"""Mask R-CNN (He et al. 2017): Faster R-CNN, and then a mask for each detection."""

from typing import Tuple

from detkit.models.detectors.faster_rcnn import FasterRCNN
from detkit.models.detectors.network import Network
from detkit.registry import DETECTORS, HEADS, ROI_EXTRACTORS
from detkit.typing import Namespace, PerLevel, Tensor


@DETECTORS.register()
class MaskRCNN(Network):
    """The detector as one block, for testing and export."""

    PARTS = {
        **FasterRCNN.PARTS,
        "mask_extractor": ROI_EXTRACTORS,  # levels, detections -> features (B * D, C, P, P)
        "mask_head": HEADS,  # -> logits (B, D, M, M) of the mask of each detection's class
    }
    BOXES = FasterRCNN

    def hybrid_forward(
        self, F: Namespace, images: Tensor, sizes: Tensor, *scales: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns boxes, scores and labels as FasterRCNN does, and masks (B, D, M, M).

        A mask holds the probabilities of the detection's class in the cells of its box. Masks are
        computed for the boxes of the detections, not for the proposals (section 3.1).
        """
        features = self.features(images, sizes)
        anchors = self.anchors_of(images, features)
        objectness, anchor_deltas = self.rpn_head(self.anchored(features))
        proposals, proposal_scores = self.proposals(
            anchors, objectness, anchor_deltas, sizes, *scales
        )
        class_logits, box_deltas = self.roi_head(self.roi_extractor(features, proposals))
        boxes, scores, labels = self.postprocess(
            proposals, proposal_scores, class_logits, box_deltas, sizes
        )
        return boxes, scores, labels, self.masks_of(F, features, boxes, labels)

    def masks_of(self, F: Namespace, features: PerLevel, boxes: Tensor, labels: Tensor) -> Tensor:
        """Returns the masks (B, D, M, M) of boxes (B, D, 4) of the classes labels (B, D)."""
        return F.sigmoid(self.mask_head(self.mask_extractor(features, boxes), labels))
