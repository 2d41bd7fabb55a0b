"""Mask R-CNN (He et al. 2017): Faster R-CNN, and then a mask for each detection."""

from detkit.models.faster_rcnn import FasterRCNN
from detkit.registry import DETECTORS, HEADS, ROI_EXTRACTORS


@DETECTORS.register()
class MaskRCNN(FasterRCNN):
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
        boxes, scores, labels = self.detections(images, features, sizes)
        logits = self.mask_head(self.mask_extractor(features, boxes), labels)
        return boxes, scores, labels, F.sigmoid(logits)
