"""Cascade R-CNN (Cai and Vasconcelos 2018): RoI heads in a row, each on the boxes of the last."""

from mxnet.gluon import HybridBlock

from detkit.models.detectors.faster_rcnn import FasterRCNN
from detkit.models.detectors.network import Network
from detkit.models.postprocess import SOFTMAX, probabilities_of
from detkit.models.refine import Refine
from detkit.registry import DETECTORS, HEADS, POSTPROCESS

REPLACED = ("roi_head", "postprocess")


@DETECTORS.register()
class CascadeRCNN(Network):
    """Faster R-CNN with a head for each stage of the cascade.

    The first looks at the proposals, every other at the boxes of the one before it. The detections
    are the boxes of the last, scored by the mean of all heads' probabilities, each of its own RoIs,
    as in Detectron2. (mmdetection takes the mean of the logits.)

    stage_weights: what divides the deltas dx dy dw dh of each stage.
    """

    PARTS = {
        **{name: part for name, part in FasterRCNN.PARTS.items() if name not in REPLACED},
        "roi_heads": [HEADS],  # of each stage, as FasterRCNN's roi_head
        "refine": Refine,  # -> the RoIs of the next stage (B, R, 4)
        "postprocess": POSTPROCESS,  # boxes of the last stage -> detections
    }

    def __init__(self, **parts):
        super().__init__(**parts)
        self.stage_weights = weights_of_stages(self)
        with self.name_scope():
            self.mean = MeanLogits(scores_of(self))

    def hybrid_forward(self, F, images, sizes):
        """Detections of padded images; arguments and results are those of FasterRCNN."""
        features = self.features(images, sizes)
        anchors = self.anchors_of(images, features)
        objectness, anchor_deltas = self.rpn_head(self.anchored(features))
        proposals, proposal_scores = self.proposals(anchors, objectness, anchor_deltas, sizes)
        rois, class_logits, box_deltas = cascaded(self, features, proposals, sizes)
        return self.postprocess(rois, proposal_scores, class_logits, box_deltas, sizes)


def cascaded(model, features, proposals, sizes):
    """The RoIs (B, R, 4) of a cascade's last stage, the mean class logits, the stage's deltas."""
    rois, outputs = proposals, []
    for stage, head in enumerate(model.roi_heads):
        if stage:
            rois = model.refine[stage - 1](rois, *outputs[-1], sizes)
        outputs.append(head(model.roi_extractor(features, rois)))
    class_logits, box_deltas = zip(*outputs)
    return rois, model.mean(*class_logits), box_deltas[-1]


def weights_of_stages(model):
    """The box_weights of each stage of a cascade. Raises ValueError unless there are as many."""
    heads, refined = len(model.roi_heads), len(model.refine)
    if refined != heads - 1:
        raise ValueError(
            "refine.box_weights are for all stages but the last, whose own are in postprocess; "
            f"found {refined} for {heads} roi_heads"
        )
    return [*model.refine.box_weights, model.postprocess.box_weights]


def scores_of(model):
    """How the class logits of a detector become scores: see Postprocess; "softmax" if not said."""
    return getattr(model.postprocess, "scores", SOFTMAX)


class MeanLogits(HybridBlock):
    """Logits of the mean probabilities of several heads.

    scores: "softmax" or "sigmoid", which makes probabilities of logits, see Postprocess.
    """

    def __init__(self, scores=SOFTMAX):
        super().__init__()
        self._scores = scores

    def hybrid_forward(self, F, *class_logits):
        """One (M, 1 + K) of several."""
        mean = self._mean(F, class_logits)
        if self._scores == SOFTMAX:
            return F.log(mean)
        # 1 - mean would lose the digits of a mean near 1; the sigmoid of -x is 1 - that of x.
        return F.log(mean) - F.log(self._mean(F, [-logits for logits in class_logits]))

    def _mean(self, F, class_logits):
        probabilities = [probabilities_of(F, logits, self._scores) for logits in class_logits]
        return F.add_n(*probabilities) / len(probabilities)
