"""A plugin with one part of every kind that chooses boxes: proposals, postprocessing, NMS."""

from mxnet.gluon import HybridBlock

from detkit import ops, registry


@registry.PROPOSALS.register(force=True)
class MyProposals(HybridBlock):
    """Every anchor of the finest map."""

    box_weights = (1, 1, 1, 1)

    def hybrid_forward(self, F, anchors, objectness, deltas, sizes):
        return F.broadcast_add(anchors[0], deltas[0] * 0), F.sigmoid(objectness[0])


@registry.POSTPROCESS.register(force=True)
class MyPostprocess(HybridBlock):
    """The proposals, thinned out; all are of class 0."""

    PARTS, box_weights = {"nms": registry.NMS}, (1, 1, 1, 1)

    def __init__(self, nms):
        super().__init__()
        self.nms = nms

    def hybrid_forward(self, F, proposals, scores, class_logits, box_deltas, sizes):
        return self.nms(F, proposals, scores, scores * 0, 0.5, -1, 9)


@registry.DENSE_POSTPROCESS.register(force=True)
class MyDensePostprocess(HybridBlock):
    """The anchors of the finest map; all are of class 0."""

    box_weights = (1, 1, 1, 1)

    def hybrid_forward(self, F, anchors, class_logits, deltas, sizes):
        scores = F.sigmoid(F.max(class_logits[0], axis=2))
        return F.broadcast_add(anchors[0], deltas[0] * 0), scores, scores * 0


@registry.NMS.register(force=True)
class MyNMS:
    """The best box alone."""

    def __call__(self, F, boxes, scores, labels, iou, top_k_in, top_k_out):
        best = F.argmax(scores, axis=1, keepdims=True)
        scores = F.max(scores, axis=1, keepdims=True)
        return ops.gather_rows(F, boxes, best), scores, scores * 0
