"""Mask R-CNN on C4: one stage of a ResNet over each RoI, for its box and for its mask."""

from typing import Tuple

from detkit.models.detectors.faster_rcnn import FasterRCNN
from detkit.models.detectors.network import Network
from detkit.registry import DETECTORS, HEADS
from detkit.typing import Namespace, PerLevel, Tensor


@DETECTORS.register()
class MaskRCNNC4(Network):
    """The detector of He et al. 2017, figure 4 (left), as in Detectron2's R50-C4.

    Its masks have no RoI extractor of their own. The head of the masks reads what the ``trunk`` of
    the RoI head returns, with the same weights. MaskRCNN is the detector of figure 4 (right).
    """

    PARTS = {
        **FasterRCNN.PARTS,  # with a roi_head that has a trunk, such as Res5Head
        "mask_head": HEADS,  # trunk (B * D, C', P', P') -> logits (B, D, M, M), see MaskRCNN
    }
    BOXES = FasterRCNN

    def hybrid_forward(
        self, F: Namespace, images: Tensor, sizes: Tensor, *scales: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns boxes, scores, labels and masks; arguments and results are those of MaskRCNN.

        The trunk is run twice: on the proposals, and then on the boxes of the detections.
        """
        features = self.features(images, sizes)
        anchors = self.anchors_of(images, features)
        objectness, anchor_deltas = self.rpn_head(self.anchored(features))
        proposals, proposal_scores = self.proposals(
            anchors, objectness, anchor_deltas, sizes, *scales
        )
        class_logits, box_deltas = self.roi_head(self.roi_extractor(features, proposals))
        boxes, scores, labels = self.postprocess(
            proposals, proposal_scores, class_logits, box_deltas, sizes
        )
        return boxes, scores, labels, self.masks_of(F, features, boxes, labels)

    def masks_of(self, F: Namespace, features: PerLevel, boxes: Tensor, labels: Tensor) -> Tensor:
        """Returns the masks (B, D, M, M) of boxes (B, D, 4) of the classes labels (B, D)."""
        cells = self.roi_head.trunk(self.roi_extractor(features, boxes))
        return F.sigmoid(self.mask_head(cells, labels))
