"""The sampler and the targets of anchors in the training of a one-stage detector."""

from typing import Optional, Sequence

from mxnet.gluon import HybridBlock

from detkit.registry import SAMPLERS
from detkit.targets.assigners import POSITIVE
from detkit.targets.rpn_targets import RPNTargets
from detkit.typing import Namespace, Tensor


@SAMPLERS.register()
class PseudoSampler(HybridBlock):
    """A sampler that draws every box that is not ignored, as a focal loss asks for."""

    size: Optional[int] = None

    def hybrid_forward(self, F: Namespace, labels: Tensor) -> Tensor:
        """Returns the labels (B, N) unchanged."""
        return F.identity(labels)


class DenseTargets(RPNTargets):
    """The targets of a one-stage head: RPNTargets with each object's class (Lin et al. 2017b).

    Anchors that cross the image's border are trained on too (section 4.1). A focal loss is made
    for all anchors, so that its sampler is the PseudoSampler.

    box_weights: what the targets dx dy dw dh are multiplied by; derived from the postprocessing,
        which decodes with the same numbers.
    """

    def __init__(
        self, assigner: HybridBlock, sampler: HybridBlock, box_weights: Sequence[float]
    ) -> None:
        super().__init__(assigner, sampler, box_weights, straddle=None)

    def _labels(self, F: Namespace, labels: Tensor, classes: Tensor) -> Tensor:
        """Returns labels (B, N): 0 background, 1 + k for class k, -1 not sampled."""
        return F.where(labels == POSITIVE, classes + 1, labels)
