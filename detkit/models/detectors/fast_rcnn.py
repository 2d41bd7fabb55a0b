"""Fast R-CNN (Girshick 2015): classes and boxes of proposals that come with the image."""

from typing import Tuple

from detkit.models.detectors.network import Network
from detkit.registry import DETECTORS, HEADS, POSTPROCESS, ROI_EXTRACTORS
from detkit.typing import Namespace, Tensor


@DETECTORS.register()
class FastRCNN(Network):
    """The second half of Faster R-CNN, for proposals of an RPN, of selective search or others."""

    PARTS = {
        **Network.PARTS,
        "roi_extractor": ROI_EXTRACTORS,  # levels, boxes -> features (B * R, C, P, P)
        "roi_head": HEADS,  # -> class logits (B * R, 1 + K), box deltas (B * R, K or 1, 4)
        "postprocess": POSTPROCESS,  # -> detections
    }
    INPUTS = (*Network.INPUTS, "proposals", "proposal_scores")

    def hybrid_forward(
        self,
        F: Namespace,
        images: Tensor,
        sizes: Tensor,
        proposals: Tensor,
        proposal_scores: Tensor,
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns boxes, scores and labels; the results are those of FasterRCNN.

        images: (B, 3, H, W) RGB 0..255, padded at the right and the bottom.
        sizes: (B, 2) h, w of the images within the padding, in pixels.
        proposals: (B, R, 4) in pixels of the input.
        proposal_scores: (B, R), negative for padding. Nothing else depends on them.
        """
        features = self.features(images, sizes)
        class_logits, deltas = self.roi_head(self.roi_extractor(features, proposals))
        return self.postprocess(proposals, proposal_scores, class_logits, deltas, sizes)
