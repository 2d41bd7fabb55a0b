"""RetinaNet (Lin et al. 2017b): detections from the anchors, in one stage."""

from typing import Tuple

from detkit.models.detectors.network import Network
from detkit.registry import ANCHORS, DENSE_POSTPROCESS, DETECTORS, HEADS
from detkit.typing import Namespace, Tensor


@DETECTORS.register()
class RetinaNet(Network):
    """The detector as one block, for testing and export."""

    PARTS = {
        **Network.PARTS,
        "anchors": ANCHORS,  # levels -> anchors (1, N, 4) of each level
        "head": HEADS,  # levels -> class logits (B, N, K), box deltas (B, N, 4) of each level
        "postprocess": DENSE_POSTPROCESS,  # -> detections
    }

    def hybrid_forward(
        self, F: Namespace, images: Tensor, sizes: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns boxes, scores and labels; arguments and results are those of FasterRCNN."""
        features = self.features(images, sizes)
        class_logits, deltas = self.head(self.anchored(features))
        anchors = self.anchors_of(images, features)
        return self.postprocess(anchors, class_logits, deltas, sizes)
