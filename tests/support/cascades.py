"""Small Cascade R-CNNs of 3 classes, for tests of the graph and of the training step."""

import mxnet as mx
import numpy as np
from mxnet.gluon import nn

from detkit.models import (
    CascadeMaskRCNN,
    CascadeRCNN,
    FasterRCNN,
    Postprocess,
    Refine,
    RoIAlign,
)
from detkit.models.roi_heads import FCHead, MaskHead
from support import oracles

WEIGHTS = [(10, 10, 5, 5), (20, 20, 10, 10), (30, 30, 15, 15)]


def cascade(plain, class_agnostic=True, stages=3, kind=CascadeRCNN, **parts):
    """A cascade with the parts of a FasterRCNN, and heads of its own."""
    heads = nn.HybridSequential()
    for _ in range(stages):
        heads.add(FCHead(8, 3, 3, hidden=[16], dropout=0, class_agnostic=class_agnostic))
    _randomise(heads)
    own = {
        **{name: getattr(plain, name) for name in FasterRCNN.PARTS if name != "roi_head"},
        "roi_heads": heads,
        "refine": Refine(WEIGHTS[: stages - 1]),
        "postprocess": Postprocess(0.2, max_detections=12, box_weights=WEIGHTS[stages - 1]),
    }
    return kind(**{**own, **parts})


def mask_cascade(plain):
    """The same with masks."""
    head = MaskHead(8, 4, num_classes=3, convs=1, channels=6)
    _randomise(head)
    extractor = RoIAlign([8], 8, size=4)
    return cascade(plain, kind=CascadeMaskRCNN, mask_extractor=extractor, mask_head=head)


def refined_by_numpy(rois, logits, deltas, weights, size):
    """The boxes of the best class of each RoI, cut at the border."""
    best = logits[:, 1:].argmax(axis=1) if deltas.shape[1] > 1 else np.zeros(len(rois), int)
    moved = [oracles.decode(d[k], roi, weights) for d, k, roi in zip(deltas, best, rois)]
    return np.array([oracles.clip(box, size) for box in moved])


def _randomise(block):
    block.initialize()
    rng = np.random.default_rng(1)
    for parameter in block.collect_params().values():
        parameter.set_data(mx.nd.array(rng.normal(0, 0.3, parameter.shape)))
