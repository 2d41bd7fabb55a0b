"""Cascade R-CNN (Cai and Vasconcelos 2018): each RoI head refines the boxes of the one before."""

from typing import Any, List, Sequence, Tuple

from mxnet.gluon import HybridBlock

from detkit.models.detectors.faster_rcnn import FasterRCNN
from detkit.models.detectors.network import Network
from detkit.models.postprocess import SOFTMAX, probabilities_of
from detkit.models.refine import Refine
from detkit.registry import DETECTORS, HEADS, POSTPROCESS
from detkit.typing import Namespace, PerLevel, Tensor

REPLACED = ("roi_head", "postprocess")


@DETECTORS.register()
class CascadeRCNN(Network):
    """Faster R-CNN with a head for each stage of the cascade.

    The RoIs of the first stage are the proposals, and those of every other stage are the boxes of
    the stage before. The detections are the boxes of the last stage. Their scores are the mean of
    the probabilities of all heads, each for its own RoIs, as in Detectron2. mmdetection takes the
    mean of the logits instead.

    The attribute ``stage_weights`` holds what the deltas dx dy dw dh of each stage are divided by.

    Raises ValueError if the numbers of stages in ``roi_heads`` and ``refine`` do not agree.
    """

    PARTS = {
        **{name: part for name, part in FasterRCNN.PARTS.items() if name not in REPLACED},
        "roi_heads": [HEADS],  # for each stage, what roi_head is for FasterRCNN
        "refine": Refine,  # -> the RoIs of the next stage (B, R, 4)
        "postprocess": POSTPROCESS,  # boxes of the last stage -> detections
    }

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.stage_weights = weights_of_stages(self)
        with self.name_scope():
            self.mean = MeanLogits(scores_of(self))

    def hybrid_forward(
        self, F: Namespace, images: Tensor, sizes: Tensor, *scales: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns boxes, scores and labels; arguments and results are those of FasterRCNN."""
        features = self.features(images, sizes)
        anchors = self.anchors_of(images, features)
        objectness, anchor_deltas = self.rpn_head(self.anchored(features))
        proposals, proposal_scores = self.proposals(
            anchors, objectness, anchor_deltas, sizes, *scales
        )
        rois, class_logits, box_deltas = cascaded(self, features, proposals, sizes)
        return self.postprocess(rois, proposal_scores, class_logits, box_deltas, sizes)


def cascaded(
    model: Network, features: PerLevel, proposals: Tensor, sizes: Tensor
) -> Tuple[Tensor, Tensor, Tensor]:
    """Returns the RoIs (B, R, 4) of the last stage of a cascade, the class logits and the deltas.

    The class logits (B * R, 1 + K) are those of the mean probabilities of all stages. The deltas
    (B * R, K or 1, 4) are those of the last stage.
    """
    rois = proposals
    all_logits: List[Tensor] = []
    deltas = None
    for stage, head in enumerate(model.roi_heads):
        if stage:
            rois = model.refine[stage - 1](rois, all_logits[-1], deltas, sizes)
        logits, deltas = head(model.roi_extractor(features, rois))
        all_logits.append(logits)
    return rois, model.mean(*all_logits), deltas


def weights_of_stages(model: Network) -> List[Sequence[float]]:
    """Returns the box_weights of each stage of a cascade.

    Raises ValueError if ``refine`` does not have one stage less than ``roi_heads``.
    """
    heads, refined = len(model.roi_heads), len(model.refine)
    if refined != heads - 1:
        raise ValueError(
            f"refine.box_weights: expected {heads - 1} for {heads} roi_heads, found {refined}; the "
            "weights of the last stage are those of postprocess"
        )
    return [*model.refine.box_weights, model.postprocess.box_weights]


def scores_of(model: Network) -> str:
    """Returns ``scores`` of the postprocessing, see Postprocess; "softmax" if it has none."""
    return getattr(model.postprocess, "scores", SOFTMAX)


class MeanLogits(HybridBlock):
    """The logits of the mean of several heads' probabilities.

    scores: "softmax" or "sigmoid", by which logits become probabilities, see Postprocess.
    """

    def __init__(self, scores: str = SOFTMAX) -> None:
        super().__init__()
        self._scores = scores

    def hybrid_forward(self, F: Namespace, *class_logits: Tensor) -> Tensor:
        """Returns logits (M, 1 + K) of those of each head (M, 1 + K)."""
        mean = self._mean(F, class_logits)
        if self._scores == SOFTMAX:
            return F.log(mean)
        # 1 - mean would lose the digits of a mean near 1; sigmoid(-x) is 1 - sigmoid(x).
        return F.log(mean) - F.log(self._mean(F, [-logits for logits in class_logits]))

    def _mean(self, F: Namespace, class_logits: Sequence[Tensor]) -> Tensor:
        """Returns the mean probabilities (M, 1 + K)."""
        probabilities = [probabilities_of(F, logits, self._scores) for logits in class_logits]
        return F.add_n(*probabilities) / len(probabilities)
