"""What makes the tiny config an RPN's, or a Fast R-CNN's, and proposals of its images."""

import numpy as np

from detkit.build import build_dataset, open_config
from detkit.data.one_class import OneClass
from detkit.detections.proposal_files import save_proposals
from support.one_class import proposed

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


def fast_rcnn(folder, config):
    """Overrides of the tiny config for a Fast R-CNN and its proposals."""
    return [*FAST_RCNN, *given_proposals(folder, config)]


def given_proposals(folder, config):
    """Overrides that name files of proposals: each object a little moved, and boxes elsewhere."""
    overrides = []
    for split in ("train", "val"):
        dataset = OneClass(build_dataset(open_config(config), split))
        rng, found = np.random.default_rng(0), {}
        for index in range(len(dataset)):
            annotation = dataset.annotation(index)
            near = np.repeat(annotation.boxes, 4, axis=0)
            near = near + rng.normal(0, 1, near.shape)
            corners = rng.uniform(0, 40, (20, 2))
            far = np.concatenate([corners, corners + rng.uniform(8, 24, (20, 2))], axis=1)
            boxes = np.clip(np.concatenate([near, far]), 0, 64)
            found[annotation.image_id] = proposed(boxes, np.linspace(1, 0.1, len(boxes)))
        save_proposals(folder / f"{split}.npz", found, dataset)
        overrides.append(f"data.{split}_proposals={{path: {folder / f'{split}.npz'}}}")
    return overrides
