"""What the head of a one-stage detector should have said of each anchor."""

from typing import Sequence

from detkit.targets.assigners import POSITIVE
from detkit.targets.rpn_targets import RPNTargets


class DenseTargets(RPNTargets):
    """As RPNTargets, with the class of each object (Lin et al. 2017b, section 4).

    Anchors that cross the image's border are trained on. A focal loss wants all of them: the
    PseudoSampler.

    box_weights: derived from the postprocessing, which decodes with the same.
    """

    def __init__(self, assigner, sampler, box_weights: Sequence[float]):
        super().__init__(assigner, sampler, box_weights, straddle=None)

    def _labels(self, F, labels, classes):
        """(B, N) 0 background, 1 + k for class k, -1 not trained on."""
        return F.where(labels == POSITIVE, classes + 1, labels)
