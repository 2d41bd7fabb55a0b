"""Cascade R-CNN (Cai and Vasconcelos 2018): RoI heads in a row, each on the boxes of the last."""

from mxnet.gluon import HybridBlock

from detkit.models.faster_rcnn import FasterRCNN
from detkit.models.postprocess import Postprocess
from detkit.models.refine import Refine
from detkit.registry import DETECTORS, HEADS

REPLACED = ("roi_head", "postprocess")


@DETECTORS.register()
class CascadeRCNN(FasterRCNN):
    """As FasterRCNN, with a head for each stage of the cascade.

    The first looks at the proposals, every other at the boxes of the one before it. The detections
    are the boxes of the last, scored by the mean of all heads' probabilities, each of its own RoIs,
    as in Detectron2. (mmdetection takes the mean of the logits.)
    """

    PARTS = {
        **{name: part for name, part in FasterRCNN.PARTS.items() if name not in REPLACED},
        "roi_heads": [HEADS],  # of each stage, as FasterRCNN's roi_head
        "refine": Refine,  # -> the RoIs of the next stage (B, R, 4)
        "postprocess": Postprocess,  # boxes of the last stage -> detections
    }

    def __init__(self, **parts):
        super().__init__(**parts)
        heads, refined = len(self.roi_heads), len(self.refine)
        if refined != heads - 1:
            raise ValueError(
                "refine.box_weights are for all stages but the last, whose own are in postprocess; "
                f"found {refined} for {heads} roi_heads"
            )
        with self.name_scope():
            self.mean = _MeanLogits()

    @property
    def stage_weights(self):
        """What divides the deltas dx dy dw dh of each stage."""
        return [*self.refine.box_weights, self.postprocess.box_weights]

    def detections(self, images, features, sizes):
        """As FasterRCNN's."""
        rois, scores = self.proposed(images, features, sizes)
        outputs = []
        for stage, head in enumerate(self.roi_heads):
            if stage:
                rois = self.refine[stage - 1](rois, *outputs[-1], sizes)
            outputs.append(head(self.roi_extractor(features, rois)))
        class_logits, box_deltas = zip(*outputs)
        return self.postprocess(rois, scores, self.mean(*class_logits), box_deltas[-1], sizes)


class _MeanLogits(HybridBlock):
    """Logits of the mean probabilities."""

    def hybrid_forward(self, F, *class_logits):
        """One (M, 1 + K) of several."""
        probabilities = [F.softmax(logits, axis=1) for logits in class_logits]
        return F.log(F.add_n(*probabilities) / len(probabilities))
