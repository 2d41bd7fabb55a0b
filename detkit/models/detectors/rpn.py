"""The region proposal network alone (Ren et al. 2015, section 3.1): boxes of any object."""

from typing import Tuple

from detkit.models.detectors.network import Network
from detkit.registry import ANCHORS, DETECTORS, HEADS, PROPOSALS
from detkit.typing import Namespace, Tensor


@DETECTORS.register()
class RPN(Network):
    """The first half of Faster R-CNN: it finds objects without their classes."""

    PARTS = {
        **Network.PARTS,
        "anchors": ANCHORS,  # levels -> anchors (1, N, 4) of each level
        "rpn_head": HEADS,  # levels -> objectness logits (B, N), deltas (B, N, 4) of each level
        "proposals": PROPOSALS,  # -> boxes of the best anchors (B, R, 4), scores (B, R)
    }
    TELLS_CLASSES = False

    def hybrid_forward(
        self, F: Namespace, images: Tensor, sizes: Tensor, *scales: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns proposals (B, R, 4) in pixels of the input, scores (B, R) and labels (B, R).

        A score is the probability of an object, and every label is 0. The best come first; rows
        without a proposal have score and label -1.

        images: (B, 3, H, W) RGB 0..255, padded at the right and the bottom.
        sizes: (B, 2) h, w of the images within the padding, in pixels.
        scales: (B, 2) x, y of the images, only if the proposals need them, see Proposals.
        """
        features = self.features(images, sizes)
        objectness, deltas = self.rpn_head(self.anchored(features))
        anchors = self.anchors_of(images, features)
        boxes, scores = self.proposals(anchors, objectness, deltas, sizes, *scales)
        labels = F.where(scores >= 0, F.zeros_like(scores), -F.ones_like(scores))
        return boxes, scores, labels
