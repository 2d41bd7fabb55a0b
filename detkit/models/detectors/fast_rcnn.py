"""Fast R-CNN (Girshick 2015): classes and boxes of proposals that come with the image."""

from detkit.models.detectors.network import Network
from detkit.registry import DETECTORS, HEADS, POSTPROCESS, ROI_EXTRACTORS


@DETECTORS.register()
class FastRCNN(Network):
    """The second half of Faster R-CNN, for the proposals of an RPN, of selective search, ..."""

    PARTS = {
        **Network.PARTS,
        "roi_extractor": ROI_EXTRACTORS,  # maps under the proposals, (B * R, C, P, P)
        "roi_head": HEADS,  # -> class logits (B * R, 1 + K), box deltas (B * R, K or 1, 4)
        "postprocess": POSTPROCESS,  # -> detections
    }
    INPUTS = (*Network.INPUTS, "proposals", "proposal_scores")

    def hybrid_forward(self, F, images, sizes, proposals, proposal_scores):
        """Detections of padded images.

        images: (B, 3, H, W) RGB 0..255, padded at the right and the bottom.
        sizes: (B, 2) h, w of the images within the padding, pixels.
        proposals: (B, R, 4) in pixels of the input.
        proposal_scores: (B, R), negative where there is no proposal; else nothing depends on them.
        Returns boxes (B, D, 4) in pixels of the input, scores (B, D), labels (B, D), best first;
        rows without a detection have score and label -1.
        """
        features = self.features(images, sizes)
        class_logits, deltas = self.roi_head(self.roi_extractor(features, proposals))
        return self.postprocess(proposals, proposal_scores, class_logits, deltas, sizes)
