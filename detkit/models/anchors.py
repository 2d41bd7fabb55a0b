"""Anchors: the boxes that the region proposal network judges."""

from typing import Sequence

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from detkit import ops
from detkit.registry import ANCHORS


@ANCHORS.register()
class AnchorGrid(HybridBlock):
    """The same A boxes around every cell of the feature map (Ren et al. 2015, section 3.1.1).

    stride: pixels between neighbouring cells; derived from the backbone.
    sizes: side of the square of the same area, pixels.
    ratios: height / width.
    offset: where in its cell the centre lies, in strides: 0.5 the middle (the paper), 0 the
        upper left corner (torchvision, Detectron2).
    rounded: corners rounded to whole pixels, as torchvision does.
    """

    def __init__(
        self,
        stride: int,
        sizes: Sequence[float] = (128, 256, 512),
        ratios: Sequence[float] = (0.5, 1, 2),
        offset: float = 0.5,
        rounded: bool = False,
    ):
        super().__init__()
        if not sizes or not ratios or min(sizes) <= 0 or min(ratios) <= 0:
            raise ValueError("sizes and ratios need at least one number each, all above zero")
        self._stride = stride
        self._offset = offset
        self.shapes = base_anchors(sizes, ratios, rounded)
        with self.name_scope():
            self.base = self.params.get_constant("base", mx.nd.array(self.shapes))

    @property
    def per_cell(self):
        """A, the number of anchors at each cell."""
        return len(self.shapes)

    def hybrid_forward(self, F, features, base):
        """Anchors (1, N, 4) for features (B, C, H, W): cell by cell, along x first, N = H W A."""
        centres = F.expand_dims(
            ops.grid_shifts(F, features, self._stride, self._offset), axis=2
        )  # (1, H * W, 1, 4)
        base = F.reshape(base, shape=(1, 1, -1, 4))
        return F.reshape(F.broadcast_add(centres, base), shape=(1, -1, 4))


def base_anchors(sizes, ratios, rounded=False):
    """(A, 4) float32 boxes around the origin; sizes change fastest, as in torchvision."""
    root = np.sqrt(np.asarray(ratios, "float64"))[:, None]
    sizes = np.asarray(sizes, "float64")[None]
    w, h = (sizes / root).reshape(-1), (sizes * root).reshape(-1)
    boxes = np.stack([-w, -h, w, h], axis=1) / 2
    return (boxes.round() if rounded else boxes).astype("float32")
