"""A small Faster R-CNN with weights of numpy's generator, and images for it."""

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock, nn

from detkit.models import (
    AnchorGrid,
    FasterRCNN,
    Normalize,
    Postprocess,
    Proposals,
    RoIAlign,
    RPNHead,
)
from detkit.models.roi_heads import FCHead


class SmallBackbone(HybridBlock):
    """Three convolutions: 8 channels, or as many as it is told, and stride 8."""

    strides = (8,)

    def __init__(self, channels=8):
        super().__init__()
        self.channels = (channels,)
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            for before, width in ((3, 8), (8, 8), (8, channels)):
                self.features.add(
                    nn.Conv2D(width, 3, strides=2, padding=1, in_channels=before, activation="relu")
                )

    def hybrid_forward(self, F, images):
        """images (B, 3, H, W) -> a list of one map (B, channels, H / 8, W / 8)."""
        return [self.features(images)]


def build(seed=0, class_agnostic=False, kind=FasterRCNN, **parts):
    backbone = parts.pop("backbone", None) or SmallBackbone()
    channels, strides = backbone.channels[0], backbone.strides[:1]  # of the first map
    anchors = AnchorGrid(strides, sizes=(12, 24), ratios=(0.25, 1, 4))
    roi_extractor = RoIAlign(strides, channels, size=3)
    defaults = {
        "normalize": Normalize(),
        "backbone": backbone,
        "anchors": anchors,
        "rpn_head": RPNHead(channels, anchors.per_cell, channels=8),
        "proposals": Proposals(pre_nms=200, post_nms=20, min_size=2),
        "roi_extractor": roi_extractor,
        "roi_head": FCHead(
            channels,
            roi_extractor.size,
            num_classes=3,
            hidden=[16],
            dropout=0,
            class_agnostic=class_agnostic,
        ),
        "postprocess": Postprocess(score_floor=0.2, max_detections=12),
    }
    defaults = {name: part for name, part in defaults.items() if name in kind.PARTS}
    model = kind(**{**defaults, **parts})
    model.initialize()
    _randomise(model, seed)
    return model


def _randomise(model, seed):
    """Weights by numpy's generator, the same on every machine, and large enough to matter."""
    rng = np.random.default_rng(seed)
    for name, parameter in model._collect_params_with_prefix().items():
        if parameter.grad_req != "null":
            fan_in = max(np.prod(parameter.shape[1:]), 1)
            scale = 0.1 if name.endswith("bias") else (2 / fan_in) ** 0.5
            parameter.set_data(mx.nd.array(rng.normal(0, scale, parameter.shape)))


def draw_images(*sizes, canvas=None, seed=0, padding=0.0):
    rng = np.random.default_rng(seed)
    canvas = canvas or tuple(np.max(sizes, axis=0))
    pixels = np.full((len(sizes), 3, *canvas), padding, "float32")
    for row, (h, w) in enumerate(sizes):
        pixels[row, :, :h, :w] = rng.uniform(0, 255, (3, h, w))
    return pixels, np.array(sizes, "float32")
