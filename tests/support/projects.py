"""What makes the tiny config an RPN's, or a Fast R-CNN's."""

import numpy as np

from detkit.build import build_dataset, open_config

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
    """Overrides of the tiny config for a Fast R-CNN, with boxes near the objects as proposals."""
    overrides = [*FAST_RCNN]
    for split in ("train", "val"):
        dataset = build_dataset(open_config(config), split)
        rng = np.random.default_rng(0)
        images = [dataset.annotation(index) for index in range(len(dataset))]
        boxes = [
            np.concatenate([np.repeat(image.boxes, 6, axis=0) + rng.normal(0, 2, (6 * n, 4)), far])
            for image in images
            for n, far in [(len(image.boxes), np.array([[1.0, 1, 9, 9]]))]
        ]
        arrays = {
            "image_ids": np.array([image.image_id for image in images]),
            "counts": np.array([len(each) for each in boxes]),
            "boxes": np.concatenate(boxes).astype("float32"),
        }
        scores = np.linspace(1, 0, len(arrays["boxes"]), dtype="float32")
        np.savez(folder / f"{split}.npz", scores=scores, **arrays)
        overrides.append(f"data.{split}_proposals={{path: {folder / split}.npz}}")
    return overrides
