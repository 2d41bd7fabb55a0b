"""Small R-CNNs, their batches, and what makes the tiny config one."""

import mxnet as mx
import numpy as np

from detkit.losses import RoILoss, SmoothL1
from detkit.models import RCNN, Postprocess, Warp
from detkit.models.roi_heads import RCNNHead
from detkit.targets import MaxIoUAssigner, RandomSampler, RoITargets
from detkit.train_steps import RCNNTrainStep
from support import small
from support.steps import EVERYTHING, ROI_WEIGHTS

SIDE = 16  # pixels of a warped region
OVERRIDES = (
    "model={type: RCNN, roi_extractor: {type: Warp, size: 16, context: 2}, "
    "backbone: {type: TinyBackbone}, roi_head: {type: RCNNHead, hidden: [16], pool: false}, "
    "postprocess: {score_floor: 0.01}}",
    "train_step={roi_targets: {assigner: {type: MaxIoUAssigner, pos_iou: 0.5, neg_iou: 0.5, "
    "best_for_object: false}, sampler: {type: RandomSampler, size: 8, positive_share: 0.25}}, "
    "roi_loss: {box: {type: SmoothL1}, box_weight: 0}}",
)


def build(**parts):
    """An RCNN of three classes over the small backbone, with random weights."""
    own = {
        "roi_extractor": Warp((1,), 3, size=SIDE, context=2),
        "roi_head": RCNNHead(8, SIDE // 8, num_classes=3, hidden=[16], dropout=0),
        "postprocess": Postprocess(score_floor=0.2, max_detections=12),
    }
    return small.build(kind=RCNN, **{**own, **parts})


def batch_of(*sizes, count=10, seed=0):
    """Images, sizes, proposals (B, R, 4) and their scores (B, R), for images of (h, w)."""
    pixels, sizes = small.draw_images(*sizes)
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-4, 24, (len(sizes), count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(6, 40, corners.shape)], axis=2)
    return pixels, sizes, boxes.astype("float32"), np.ones((len(sizes), count), "float32")


def step_of(model):
    """The training step of an RCNN, which samples every region."""
    rois = MaxIoUAssigner(0.5, 0.5, best_for_object=False)
    targets = RoITargets(rois, RandomSampler(EVERYTHING, 1), ROI_WEIGHTS)
    return RCNNTrainStep(model, roi_targets=targets, roi_loss=RoILoss(SmoothL1(1.0)))


def by_hand(model, pixels, sizes, boxes):
    """Class logits and deltas of each region (R, 4) of one image, one region after another."""
    normalised = model.normalize(mx.nd.array(pixels), mx.nd.array(sizes))
    rows = []
    for box in boxes[0]:
        square = model.roi_extractor([normalised], mx.nd.array(box[None, None]))
        (cells,) = model.backbone(square)
        rows.append([array.asnumpy()[0] for array in model.roi_head(cells)])
    return [np.stack(arrays) for arrays in zip(*rows)]
