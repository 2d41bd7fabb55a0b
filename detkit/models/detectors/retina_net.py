"""RetinaNet (Lin et al. 2017b): detections straight from the anchors, in one stage."""

from detkit.models.detectors.network import Network
from detkit.registry import ANCHORS, DENSE_POSTPROCESS, DETECTORS, HEADS


@DETECTORS.register()
class RetinaNet(Network):
    """From images to detections, as one graph; trained by train_steps/retina_net.py."""

    PARTS = {
        **Network.PARTS,
        "anchors": ANCHORS,  # maps -> anchors (1, N, 4) of each level
        "head": HEADS,  # maps -> class logits (B, N, K), box deltas (B, N, 4) of each level
        "postprocess": DENSE_POSTPROCESS,  # -> detections
    }

    def hybrid_forward(self, F, images, sizes):
        """Boxes, scores and labels of padded images, as FasterRCNN gives them."""
        features = self.features(images, sizes)
        class_logits, deltas = self.head(self.anchored(features))
        anchors = self.anchors_of(images, features)
        return self.postprocess(anchors, class_logits, deltas, sizes)
