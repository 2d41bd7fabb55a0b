"""What makes the tiny config an RPN's, or a Fast R-CNN's."""

RPN = (
    "model={type: RPN, backbone: {type: TinyBackbone}, rpn_head: {type: RPNHead, channels: 16}, "
    "anchors: {type: AnchorGrid, sizes: [12, 24], ratios: [1]}, "
    "proposals: {pre_nms: 100, post_nms: 16, min_size: 4}}",
    "train_step={rpn_targets: {straddle: null, assigner: {type: MaxIoUAssigner}, "
    "sampler: {type: RandomSampler, size: 16}}, rpn_loss: {box: {type: SmoothL1}}}",
    "evaluate={type: ProposalEvaluator, limits: [4, 16]}",
)
FAST_RCNN = (
    "model={type: FastRCNN, backbone: {type: TinyBackbone}, roi_extractor: {type: RoIAlign, "
    "size: 3}, roi_head: {type: FCHead, hidden: [16]}, postprocess: {score_floor: 0.01}}",
    "train_step={roi_targets: {assigner: {type: MaxIoUAssigner, pos_iou: 0.5, neg_iou: 0.5, "
    "best_for_object: false}, sampler: {type: RandomSampler, size: 8}}, "
    "roi_loss: {box: {type: SmoothL1}}}",
)
