"""Faster R-CNN (Ren et al. 2015): the whole flow, in the order the data passes."""

from mxnet.gluon import HybridBlock

from detkit.registry import DETECTORS


@DETECTORS.register()
class FasterRCNN(HybridBlock):
    """From images to detections, as one graph without a batch size or an image size in it.

    The parts are blocks of their own. Training calls the same parts one by one
    (detkit/train_step.py); a detector in use, or exported, is this block.

    normalize: pixels -> network input, the padding masked.
    backbone: images -> features (B, C, H, W); declares ``channels`` and ``stride``.
    anchors: features -> anchors (1, N, 4).
    rpn_head: features -> objectness logits (B, N), deltas (B, N, 4).
    proposals: the best of them as proposals (B, R, 4), scores (B, R).
    roi_extractor: features under the proposals, (B * R, C, P, P).
    roi_head: -> class logits (B * R, 1 + K), box deltas (B * R, K or 1, 4).
    postprocess: -> detections.
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
    ):
        super().__init__()
        with self.name_scope():
            self.normalize = normalize
            self.backbone = backbone
            self.anchors = anchors
            self.rpn_head = rpn_head
            self.proposals = proposals
            self.roi_extractor = roi_extractor
            self.roi_head = roi_head
            self.postprocess = postprocess

    def hybrid_forward(self, F, images, sizes):
        """Detections of padded images.

        images: (B, 3, H, W) RGB 0..255, padded at the right and the bottom.
        sizes: (B, 2) h, w of the images within the padding, pixels.
        Returns boxes (B, D, 4) in pixels of the input, scores (B, D), labels (B, D), best first;
        rows without a detection have score and label -1.
        """
        inputs = self.normalize(images, sizes)
        features = self.backbone(inputs)

        anchors = self.anchors(features)
        objectness, anchor_deltas = self.rpn_head(features)
        proposals, proposal_scores = self.proposals(anchors, objectness, anchor_deltas, sizes)

        roi_features = self.roi_extractor(features, proposals)
        class_logits, box_deltas = self.roi_head(roi_features)
        return self.postprocess(proposals, proposal_scores, class_logits, box_deltas, sizes)
