"""The region proposal network alone (Ren et al. 2015, section 3.1): boxes of whatever is there."""

from detkit.models.detectors.network import Network
from detkit.registry import ANCHORS, DETECTORS, HEADS, PROPOSALS


@DETECTORS.register()
class RPN(Network):
    """The first half of Faster R-CNN: it finds objects without saying which."""

    PARTS = {
        **Network.PARTS,
        "anchors": ANCHORS,  # maps -> anchors (1, N, 4) of each level
        "rpn_head": HEADS,  # maps -> objectness logits (B, N), deltas (B, N, 4) of each level
        "proposals": PROPOSALS,  # the best of them as boxes (B, R, 4), scores (B, R)
    }
    TELLS_CLASSES = False

    def hybrid_forward(self, F, images, sizes):
        """Proposals of padded images.

        images: (B, 3, H, W) RGB 0..255, padded at the right and the bottom.
        sizes: (B, 2) h, w of the images within the padding, pixels.
        Returns boxes (B, R, 4) in pixels of the input, scores (B, R), the probability of an object,
        and labels (B, R), all 0, best first; rows without a proposal have score and label -1.
        """
        features = self.features(images, sizes)
        objectness, deltas = self.rpn_head(self.anchored(features))
        anchors = self.anchors_of(images, features)
        boxes, scores = self.proposals(anchors, objectness, deltas, sizes)
        labels = F.where(scores >= 0, F.zeros_like(scores), -F.ones_like(scores))
        return boxes, scores, labels
