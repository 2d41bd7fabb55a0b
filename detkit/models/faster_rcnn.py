"""Faster R-CNN (Ren et al. 2015): the whole flow, in the order the data passes."""

from mxnet.gluon import HybridBlock

from detkit.registry import DETECTORS


@DETECTORS.register()
class FasterRCNN(HybridBlock):
    """From images to detections, as one graph without a batch size or an image size in it.

    The parts are blocks of their own. Training calls the same parts one by one
    (detkit/train_step.py); a detector in use, or exported, is this block.

    normalize: pixels -> network input, the padding masked.
    backbone: images -> one map (B, C, H, W) or a list of them, finest first.
    anchors: maps -> anchors (1, N, 4) of each level.
    rpn_head: maps -> objectness logits (B, N) and deltas (B, N, 4) of each level.
    proposals: the best of them as proposals (B, R, 4), scores (B, R).
    roi_extractor: features under the proposals, (B * R, C, P, P).
    roi_head: -> class logits (B * R, 1 + K), box deltas (B * R, K or 1, 4).
    postprocess: -> detections.
    neck: the backbone's maps -> a list of maps of C channels each; None where they are that.
    """

    def __init__(
        self,
        normalize,
        backbone,
        anchors,
        rpn_head,
        proposals,
        roi_extractor,
        roi_head,
        postprocess,
        neck=None,
    ):
        super().__init__()
        with self.name_scope():
            self.normalize = normalize
            self.backbone = backbone
            self.neck = neck
            self.anchors = anchors
            self.rpn_head = rpn_head
            self.proposals = proposals
            self.roi_extractor = roi_extractor
            self.roi_head = roi_head
            self.postprocess = postprocess

    def anchors_of(self, images, features):
        """Anchors (1, N, 4) of each level; only a grid that measures its strides needs images."""
        measures = getattr(self.anchors, "measured_strides", False)
        return self.anchors(features, images) if measures else self.anchors(features)

    def features(self, images, sizes):
        """The levels: a list of maps (B, C, H, W), finest first."""
        maps = self.backbone(self.normalize(images, sizes))
        maps = list(maps) if isinstance(maps, (list, tuple)) else [maps]
        return self.neck(maps) if self.neck else maps

    def hybrid_forward(self, F, images, sizes):
        """Detections of padded images.

        images: (B, 3, H, W) RGB 0..255, padded at the right and the bottom.
        sizes: (B, 2) h, w of the images within the padding, pixels.
        Returns boxes (B, D, 4) in pixels of the input, scores (B, D), labels (B, D), best first;
        rows without a detection have score and label -1.
        """
        return self.detections(images, self.features(images, sizes), sizes)

    def detections(self, images, features, sizes):
        """Boxes, scores and labels of the levels ``features``, as the network returns them."""
        anchors = self.anchors_of(images, features)
        objectness, anchor_deltas = self.rpn_head(features)
        proposals, proposal_scores = self.proposals(anchors, objectness, anchor_deltas, sizes)

        roi_features = self.roi_extractor(features, proposals)
        class_logits, box_deltas = self.roi_head(roi_features)
        return self.postprocess(proposals, proposal_scores, class_logits, box_deltas, sizes)
