"""Keypoint R-CNN (He et al. 2017, section 5): Faster R-CNN, and keypoints of each detection."""

from typing import Tuple

from detkit.models.detectors.faster_rcnn import FasterRCNN
from detkit.models.detectors.network import Network
from detkit.registry import DETECTORS, HEADS, ROI_EXTRACTORS
from detkit.typing import Namespace, PerLevel, Tensor


@DETECTORS.register()
class KeypointRCNN(Network):
    """The detector as one block, for testing and export."""

    PARTS = {
        **FasterRCNN.PARTS,
        "keypoint_extractor": ROI_EXTRACTORS,  # levels, detections -> features (B * D, C, P, P)
        "keypoint_head": HEADS,  # -> logits (B * D, J, M, M) of the heatmaps of the keypoints
    }
    BOXES = FasterRCNN
    OUTPUTS = ("boxes", "scores", "labels", "heatmaps")

    def hybrid_forward(
        self, F: Namespace, images: Tensor, sizes: Tensor, *scales: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns boxes, scores and labels as FasterRCNN does, and heatmaps (B, D, J, M, M).

        A heatmap holds the logits of a keypoint in the cells of the detection's box;
        detkit.keypoints.decode finds the keypoint in it. As in Mask R-CNN, heatmaps are computed
        for the boxes of the detections.
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
        return boxes, scores, labels, self.heatmaps_of(F, features, boxes, labels)

    def heatmaps_of(
        self, F: Namespace, features: PerLevel, boxes: Tensor, labels: Tensor
    ) -> Tensor:
        """Returns the heatmaps (B, D, J, M, M) of boxes (B, D, 4); labels (B, D) give the shape."""
        heatmaps = self.keypoint_head(self.keypoint_extractor(features, boxes))
        return F.reshape_like(heatmaps, labels, lhs_begin=0, lhs_end=1, rhs_begin=0, rhs_end=2)
