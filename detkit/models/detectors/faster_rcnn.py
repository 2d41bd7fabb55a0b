"""Faster R-CNN (Ren et al. 2015): from images to detections, part by part."""

from typing import Tuple

from detkit.models.detectors.network import Network
from detkit.registry import ANCHORS, DETECTORS, HEADS, POSTPROCESS, PROPOSALS, ROI_EXTRACTORS
from detkit.typing import Namespace, Tensor


@DETECTORS.register()
class FasterRCNN(Network):
    """The detector as one block, for testing and export.

    Training calls the same parts one by one, see detkit/train_steps/faster_rcnn.py.
    """

    PARTS = {
        **Network.PARTS,
        "anchors": ANCHORS,  # levels -> anchors (1, N, 4) of each level
        "rpn_head": HEADS,  # levels -> objectness logits (B, N), deltas (B, N, 4) of each level
        "proposals": PROPOSALS,  # -> boxes of the best anchors (B, R, 4), scores (B, R)
        "roi_extractor": ROI_EXTRACTORS,  # levels, boxes -> features (B * R, C, P, P)
        "roi_head": HEADS,  # -> class logits (B * R, 1 + K), box deltas (B * R, K or 1, 4)
        "postprocess": POSTPROCESS,  # -> detections
    }

    def hybrid_forward(
        self, F: Namespace, images: Tensor, sizes: Tensor, *scales: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns boxes (B, D, 4) in pixels of the input, scores (B, D), labels (B, D), best first.

        Rows without a detection have score and label -1.

        images: (B, 3, H, W) RGB 0..255, padded at the right and the bottom.
        sizes: (B, 2) h, w of the images within the padding, in pixels.
        scales: (B, 2) x, y of the images, only if the proposals need them, see Proposals.
        """
        features = self.features(images, sizes)
        anchors = self.anchors_of(images, features)
        objectness, anchor_deltas = self.rpn_head(self.anchored(features))
        proposals, proposal_scores = self.proposals(
            anchors, objectness, anchor_deltas, sizes, *scales
        )
        class_logits, box_deltas = self.roi_head(self.roi_extractor(features, proposals))
        return self.postprocess(proposals, proposal_scores, class_logits, box_deltas, sizes)
