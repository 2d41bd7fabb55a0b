"""Faster R-CNN (Ren et al. 2015): the whole flow, in the order the data passes."""

from detkit.models.network import Network
from detkit.models.normalize import Normalize
from detkit.models.postprocess import Postprocess
from detkit.models.proposals import Proposals
from detkit.registry import ANCHORS, BACKBONES, DETECTORS, HEADS, NECKS, ROI_EXTRACTORS


@DETECTORS.register()
class FasterRCNN(Network):
    """From images to detections, as one graph without a batch size or an image size in it.

    The parts are blocks of their own. Training calls the same parts one by one
    (detkit/train_steps/faster_rcnn.py); a detector in use, or exported, is this block.
    """

    PARTS = {
        "normalize": Normalize,  # pixels -> network input, the padding masked
        "backbone": BACKBONES,  # -> one map (B, C, H, W) or a list of them, finest first
        "neck": NECKS,  # -> a list of maps of C channels each; null where they are that
        "anchors": ANCHORS,  # maps -> anchors (1, N, 4) of each level
        "rpn_head": HEADS,  # maps -> objectness logits (B, N), deltas (B, N, 4) of each level
        "proposals": Proposals,  # the best of them as boxes (B, R, 4), scores (B, R)
        "roi_extractor": ROI_EXTRACTORS,  # maps under the proposals, (B * R, C, P, P)
        "roi_head": HEADS,  # -> class logits (B * R, 1 + K), box deltas (B * R, K or 1, 4)
        "postprocess": Postprocess,  # -> detections
    }

    def hybrid_forward(self, F, images, sizes):
        """Detections of padded images.

        images: (B, 3, H, W) RGB 0..255, padded at the right and the bottom.
        sizes: (B, 2) h, w of the images within the padding, pixels.
        Returns boxes (B, D, 4) in pixels of the input, scores (B, D), labels (B, D), best first;
        rows without a detection have score and label -1.
        """
        return self.detections(images, self.features(images, sizes), sizes)

    def detections(self, images, features, sizes):
        """Boxes, scores and labels of the levels ``features``, as the network returns them."""
        proposals, proposal_scores = self.proposed(images, features, sizes)
        roi_features = self.roi_extractor(features, proposals)
        class_logits, box_deltas = self.roi_head(roi_features)
        return self.postprocess(proposals, proposal_scores, class_logits, box_deltas, sizes)

    def proposed(self, images, features, sizes):
        """Proposals (B, R, 4) and their scores (B, R), best first, -1 where there is none."""
        anchors = self.anchors_of(images, features)
        objectness, anchor_deltas = self.rpn_head(self.anchored(features))
        return self.proposals(anchors, objectness, anchor_deltas, sizes)
