"""Mask R-CNN (He et al. 2017): Faster R-CNN, and then a mask for each detection."""

from detkit.models.detectors.faster_rcnn import FasterRCNN
from detkit.models.detectors.network import Network
from detkit.registry import DETECTORS, HEADS, ROI_EXTRACTORS


@DETECTORS.register()
class MaskRCNN(Network):
    """From images to detections with masks, as one graph."""

    PARTS = {
        **FasterRCNN.PARTS,
        "mask_extractor": ROI_EXTRACTORS,  # maps under the detections, (B * D, C, P, P)
        "mask_head": HEADS,  # -> logits of their masks (B, D, M, M)
    }

    def hybrid_forward(self, F, images, sizes):
        """As FasterRCNN, and fourth the probabilities (B, D, M, M) of the object in each box.

        The masks are of the boxes that are left in the end, not of the proposals (section 3.1), and
        of their class.
        """
        features = self.features(images, sizes)
        anchors = self.anchors_of(images, features)
        objectness, anchor_deltas = self.rpn_head(self.anchored(features))
        proposals, proposal_scores = self.proposals(anchors, objectness, anchor_deltas, sizes)
        class_logits, box_deltas = self.roi_head(self.roi_extractor(features, proposals))
        boxes, scores, labels = self.postprocess(
            proposals, proposal_scores, class_logits, box_deltas, sizes
        )
        mask_logits = self.mask_head(self.mask_extractor(features, boxes), labels)
        return boxes, scores, labels, F.sigmoid(mask_logits)
