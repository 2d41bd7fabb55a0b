"""R-CNN (Girshick et al. 2014): the network runs on every region of the image by itself."""

from typing import Any, List, Sequence, Tuple

import mxnet as mx

from detkit.models.detectors.network import Network
from detkit.models.normalize import Normalize
from detkit.registry import BACKBONES, DETECTORS, HEADS, POSTPROCESS, ROI_EXTRACTORS
from detkit.typing import Namespace, NDArray, PerLevel, Tensor

REGIONS_AT_ONCE = 100  # of all images of a batch, in the backbone; they bound the memory


@DETECTORS.register()
class RCNN(Network):
    """Regions of the image, which come with it, warped to one size and classified one by one.

    In Python the regions pass the backbone in groups, so that the memory does not grow with their
    number. An export is one graph, in which all regions of a batch are one group.
    """

    PARTS = {
        "normalize": Normalize,  # pixels -> network input (B, 3, H, W), zeros in the padding
        "roi_extractor": ROI_EXTRACTORS,  # input, boxes -> regions (B * R, 3, S, S)
        "backbone": BACKBONES,  # regions -> maps (B * R, C, P, P); the head gets the last
        "roi_head": HEADS,  # -> class logits (B * R, 1 + K), box deltas (B * R, K or 1, 4)
        "postprocess": POSTPROCESS,  # -> detections
    }
    INPUTS = (*Network.INPUTS, "proposals", "proposal_scores")

    def features(self, images: Tensor, sizes: Tensor) -> PerLevel:
        """Returns the input itself, the only map (B, 3, H, W) that regions are taken from."""
        return [self.normalize(images, sizes)]

    def region_features(self, features: PerLevel, rois: Tensor) -> Tensor:
        """Returns the last map (B * R, C, P, P) of each region (B, R, 4) of ``features``."""
        return self.maps_of(self.roi_extractor(features, rois))[-1]

    def forward(
        self, images: Tensor, sizes: Tensor, proposals: Tensor, proposal_scores: Tensor
    ) -> Any:
        """Returns what ``hybrid_forward`` does, of arrays group by group."""
        is_array = hasattr(images, "context")
        if not is_array or len(images) * proposals.shape[1] <= REGIONS_AT_ONCE:
            return super().forward(images, sizes, proposals, proposal_scores)
        features = self.features(images, sizes)
        groups = [
            self.roi_head(self.region_features(features, rois)) for rois in groups_of(proposals)
        ]
        class_logits, deltas = (joined(parts, len(images)) for parts in zip(*groups))
        return self.postprocess(proposals, proposal_scores, class_logits, deltas, sizes)

    def hybrid_forward(
        self,
        F: Namespace,
        images: Tensor,
        sizes: Tensor,
        proposals: Tensor,
        proposal_scores: Tensor,
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns boxes, scores and labels; arguments and results are those of FastRCNN."""
        features = self.features(images, sizes)
        class_logits, deltas = self.roi_head(self.region_features(features, proposals))
        return self.postprocess(proposals, proposal_scores, class_logits, deltas, sizes)


def groups_of(rois: NDArray) -> List[NDArray]:
    """Returns the regions (B, R, 4) as groups (B, R', 4) of at most REGIONS_AT_ONCE in all."""
    size = max(1, REGIONS_AT_ONCE // len(rois))
    return [rois[:, start : start + size] for start in range(0, rois.shape[1], size)]


def joined(parts: Sequence[NDArray], images: int) -> NDArray:
    """Returns the rows (B * R, ...) of all groups, image by image, of those of each (B * R', ...).

    images: B.
    """
    rows = [part.reshape((images, -1, *part.shape[1:])) for part in parts]
    return mx.nd.concat(*rows, dim=1).reshape((-1, *parts[0].shape[1:]))
