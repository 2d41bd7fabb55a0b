"""Anchors: the boxes that the region proposal network judges."""

from typing import Optional, Sequence, Union

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from detkit import ops
from detkit.registry import ANCHORS

LevelChoice = Optional[Union[int, Sequence[int]]]  # see chosen_levels


@ANCHORS.register()
class AnchorGrid(HybridBlock):
    """The same A boxes around every cell of a feature map (Ren et al. 2015, section 3.1.1).

    strides: pixels between neighbouring cells of each level; derived from the neck.
    sizes: side of the square of the same area, pixels: a list for all levels, or one list for each
        (FPN, Lin et al. 2017, section 4.1).
    ratios: height / width.
    offset: where in its cell the centre lies, in strides: 0.5 the middle (the paper), 0 the
        upper left corner (torchvision, Detectron2).
    levels: the maps that have anchors, see chosen_levels; all by default, [3] is P5 of FPN's alone.

    The last three exist to give the numbers of torchvision or of GluonCV:

    rounded: corners rounded to whole pixels, as torchvision does.
    measured_strides: the sides of the input divided by those of the map, rounded down, as
        torchvision does: 61 instead of 64 for 13 rows of 800 pixels.
    pixel_corners: as py-faster-rcnn and GluonCV count. A box ends with its last pixel, at a corner
        one less, and its sides are whole pixels where it is as large as a cell.

    The attribute ``maps`` is the slice of the maps that have anchors: the head that judges the
    anchors looks at no others.
    """

    def __init__(
        self,
        strides: Sequence[int],
        sizes: Sequence[Union[float, Sequence[float]]] = (128, 256, 512),
        ratios: Sequence[float] = (0.5, 1, 2),
        offset: float = 0.5,
        levels: LevelChoice = None,
        rounded: bool = False,
        measured_strides: bool = False,
        pixel_corners: bool = False,
    ):
        super().__init__()
        self.maps = chosen_levels(levels, len(strides))
        strides = strides[self.maps]
        self._strides, self._offset = tuple(strides), offset
        self.measured_strides = measured_strides
        sizes = _sizes_of_levels(sizes, len(strides))
        if min(map(min, sizes)) <= 0 or not ratios or min(ratios) <= 0:
            raise ValueError("sizes and ratios need at least one number each, all above zero")
        if pixel_corners and rounded:
            raise ValueError("pixel_corners rounds in a way of its own: leave rounded out")
        self.shapes = [
            pixel_anchors(level, ratios, stride)
            if pixel_corners
            else base_anchors(level, ratios, rounded)
            for level, stride in zip(sizes, strides)
        ]
        with self.name_scope():
            for level, shapes in enumerate(self.shapes):
                name = f"base{level}" if level else "base"
                setattr(self, name, self.params.get_constant(name, mx.nd.array(shapes)))

    @property
    def per_cell(self):
        """A, the number of anchors at each cell of every level."""
        return len(self.shapes[0])

    def forward(self, features, *images):
        """Anchors (1, N, 4) of each level: cell by cell, along x first, N = H W A.

        features: a list of maps (B, C, H, W); images (B, 3, H, W) where strides are measured.
        """
        # Out here, because MXNet warns of inputs that a compiled block does not use.
        return super().forward(features[self.maps], *images)

    def hybrid_forward(self, F, features, images=None, **bases):
        """As ``forward``, of the chosen levels alone."""
        anchors = []
        for maps, stride, name in zip(features, self._strides, sorted(bases)):
            centres = ops.grid_shifts(F, maps, self._offset)
            if self.measured_strides:
                centres = F.broadcast_mul(centres, _measured_stride(F, images, maps))
            else:
                centres = centres * stride
            centres = F.expand_dims(centres, axis=2)  # (1, H * W, 1, 4)
            base = F.reshape(bases[name], shape=(1, 1, -1, 4))
            anchors.append(F.reshape(F.broadcast_add(centres, base), shape=(1, -1, 4)))
        return anchors


def chosen_levels(levels, count):
    """The slice of ``count`` maps that ``levels`` stands for.

    levels: None, all; a number, the first so many; or their numbers, 0 the finest: [2] is the third
        alone, [1, 2] the second and the third.

    Raises ValueError where there are no such maps, or they are not next to each other.
    """
    if levels is None or isinstance(levels, int):
        last = count if levels is None else levels
        if not 1 <= last <= count:
            raise ValueError(f"levels is 1 to {count}, the maps there are, not {last}")
        return slice(0, last)
    numbers = list(levels)
    if not numbers or numbers != list(range(count)[numbers[0] : numbers[-1] + 1]):
        raise ValueError(f"levels are consecutive numbers of maps, 0 to {count - 1}, not {numbers}")
    return slice(numbers[0], numbers[-1] + 1)


def _sizes_of_levels(sizes, levels):
    """A list of sizes for each level. Raises ValueError where they do not fit the levels."""
    each = [list(size) if isinstance(size, (list, tuple)) else size for size in sizes]
    if not any(isinstance(size, list) for size in each):
        each = [each] * levels
    if not all(isinstance(size, list) and size for size in each):
        raise ValueError("sizes and ratios need at least one number each, all above zero")
    if len(each) != levels or len(set(map(len, each))) > 1:
        raise ValueError(
            f"there are {levels} levels, and sizes {sizes}: give one list for all levels, or one "
            "for each, all of the same length"
        )
    return each


def _measured_stride(F, images, maps):
    """(1, 1, 4) x y x y: pixels of the input per cell of a map, rounded down."""
    sides = [
        F.floor(F.broadcast_div(ops.extent(F, images, axis), ops.extent(F, maps, axis)))
        for axis in (3, 2)
    ]
    return F.reshape(F.concat(*sides, *sides, dim=0), shape=(1, 1, 4))


def base_anchors(sizes, ratios, rounded=False):
    """(A, 4) float32 boxes around the origin; sizes change fastest, as in torchvision."""
    root = np.sqrt(np.asarray(ratios, "float64"))[:, None]
    sizes = np.asarray(sizes, "float64")[None]
    w, h = (sizes / root).reshape(-1), (sizes * root).reshape(-1)
    boxes = np.stack([-w, -h, w, h], axis=1) / 2
    return (boxes.round() if rounded else boxes).astype("float32")


def pixel_anchors(sizes, ratios, stride):
    """As base_anchors, (A, 4) float32, with ``pixel_corners`` of AnchorGrid.

    generate_anchors of py-faster-rcnn, RPNAnchorGenerator of GluonCV.
    """
    ratios, scales = np.asarray(ratios, "float64"), np.asarray(sizes, "float64") / stride
    w = np.round(np.sqrt(stride**2 / ratios))
    h = np.round(w * ratios)
    w, h = (np.outer(side, scales).reshape(-1) for side in (w, h))
    return np.stack([-w, -h, w - 2, h - 2], axis=1).astype("float32") / 2
