"""Faster R-CNN (Ren et al. 2015): the whole flow, in the order the data passes."""

from detkit.models.detectors.network import Network
from detkit.registry import ANCHORS, DETECTORS, HEADS, POSTPROCESS, PROPOSALS, ROI_EXTRACTORS


@DETECTORS.register()
class FasterRCNN(Network):
    """From images to detections, as one graph without a batch size or an image size in it.

    The parts are blocks of their own. Training calls the same parts one by one
    (detkit/train_steps/faster_rcnn.py); a detector in use, or exported, is this block.
    """

    PARTS = {
        **Network.PARTS,
        "anchors": ANCHORS,  # maps -> anchors (1, N, 4) of each level
        "rpn_head": HEADS,  # maps -> objectness logits (B, N), deltas (B, N, 4) of each level
        "proposals": PROPOSALS,  # the best of them as boxes (B, R, 4), scores (B, R)
        "roi_extractor": ROI_EXTRACTORS,  # maps under the proposals, (B * R, C, P, P)
        "roi_head": HEADS,  # -> class logits (B * R, 1 + K), box deltas (B * R, K or 1, 4)
        "postprocess": POSTPROCESS,  # -> detections
    }

    def hybrid_forward(self, F, images, sizes):
        """Detections of padded images.

        images: (B, 3, H, W) RGB 0..255, padded at the right and the bottom.
        sizes: (B, 2) h, w of the images within the padding, pixels.
        Returns boxes (B, D, 4) in pixels of the input, scores (B, D), labels (B, D), best first;
        rows without a detection have score and label -1.
        """
        features = self.features(images, sizes)
        anchors = self.anchors_of(images, features)
        objectness, anchor_deltas = self.rpn_head(self.anchored(features))
        proposals, proposal_scores = self.proposals(anchors, objectness, anchor_deltas, sizes)
        class_logits, box_deltas = self.roi_head(self.roi_extractor(features, proposals))
        return self.postprocess(proposals, proposal_scores, class_logits, box_deltas, sizes)
