"""Anchors, the boxes that a region proposal network classifies, and the levels that have them."""

from typing import List, Optional, Sequence, Union

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from detkit import ops
from detkit.models.levels import LevelChoice, chosen_levels
from detkit.registry import ANCHORS
from detkit.typing import Namespace, NDArray, PerLevel, Tensor


@ANCHORS.register()
class AnchorGrid(HybridBlock):
    """The same A boxes around every cell of a feature map (Ren et al. 2015, section 3.1.1).

    strides: pixels between neighbouring cells of each level; derived from the neck.
    sizes: side of the square of the same area, in pixels: one list for all levels, or a list of
        lists, one for each level (FPN, Lin et al. 2017, section 4.1).
    ratios: height / width.
    offset: the place of the centre in its cell, in strides: 0.5 is the middle (the paper), 0 the
        upper left corner (torchvision, Detectron2).
    levels: the maps that have anchors, see chosen_levels; null: all. [3] is P5 of FPN alone.

    The last three arguments exist for parity with torchvision or GluonCV:

    rounded: whether corners are rounded to whole pixels, as in torchvision.
    measured_strides: whether the strides are the sides of the input divided by those of the map,
        rounded down, as in torchvision: 61 instead of 64 for 13 rows of 800 pixels.
    pixel_corners: whether a box ends with its last pixel, one less than its corner, and has sides
        of whole pixels if it is as large as a cell, as in py-faster-rcnn and GluonCV.

    The attribute ``maps`` is the slice of the maps that have anchors, which their head is given;
    ``strides`` are those of these maps.
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
    ) -> None:
        super().__init__()
        self.maps = chosen_levels(levels, len(strides))
        strides = strides[self.maps]
        self.strides, self._offset = tuple(strides), offset
        self.measured_strides = measured_strides
        if not ratios or min(ratios) <= 0:
            raise ValueError(f"ratios: expected at least one number above 0, found {list(ratios)}")
        if pixel_corners and rounded:
            raise ValueError("rounded: expected False with pixel_corners, which rounds differently")
        self.shapes = [
            pixel_anchors(sizes_of_level, ratios, stride)
            if pixel_corners
            else base_anchors(sizes_of_level, ratios, rounded)
            for sizes_of_level, stride in zip(_sizes_of_levels(sizes, len(strides)), strides)
        ]
        with self.name_scope():
            for level, shapes in enumerate(self.shapes):
                name = f"base{level}" if level else "base"
                setattr(self, name, self.params.get_constant(name, mx.nd.array(shapes)))

    @property
    def per_cell(self) -> int:
        """A, the number of anchors at each cell of every level."""
        return len(self.shapes[0])

    def forward(self, features: PerLevel, *images: NDArray) -> List[NDArray]:
        """Returns the anchors (1, N, 4) of each level: cell by cell, along x first; N = H W A.

        features: maps (B, C, H, W); images (B, 3, H, W), only if strides are measured.
        """
        # Maps without anchors stay outside: a compiled block warns of unused inputs.
        return super().forward(features[self.maps], *images)

    def hybrid_forward(
        self, F: Namespace, features: PerLevel, images: Optional[Tensor] = None, **bases: Tensor
    ) -> List[Tensor]:
        """Returns what ``forward`` does, for the chosen levels."""
        anchors = []
        for maps, stride, name in zip(features, self.strides, sorted(bases)):
            centres = ops.grid_shifts(F, maps, self._offset)
            if self.measured_strides:
                centres = F.broadcast_mul(centres, _measured_stride(F, images, maps))
            else:
                centres = centres * stride
            centres = F.expand_dims(centres, axis=2)  # (1, H * W, 1, 4)
            base = F.reshape(bases[name], shape=(1, 1, -1, 4))
            anchors.append(F.reshape(F.broadcast_add(centres, base), shape=(1, -1, 4)))
        return anchors


def _sizes_of_levels(
    sizes: Sequence[Union[float, Sequence[float]]], levels: int
) -> List[List[float]]:
    """Returns a list of sizes for each level. Raises ValueError unless there is one for each."""
    lists = [list(size) for size in sizes if isinstance(size, (list, tuple))]
    numbers = [size for size in sizes if isinstance(size, (int, float))]
    each = lists if lists else [numbers] * levels
    if (lists and numbers) or len(each) != levels or len(set(map(len, each))) > 1:
        raise ValueError(
            f"sizes: expected one list for all {levels} levels, or a list of {levels} lists of the "
            f"same length, found {list(sizes)}"
        )
    if not each[0] or min(map(min, each)) <= 0:
        raise ValueError(f"sizes: expected at least one number above 0, found {list(sizes)}")
    return each


def _measured_stride(F: Namespace, images: Tensor, maps: Tensor) -> Tensor:
    """Returns (1, 1, 4) x y x y: pixels of the input per cell of a map, rounded down."""
    sides = [
        F.floor(F.broadcast_div(ops.extent(F, images, axis), ops.extent(F, maps, axis)))
        for axis in (3, 2)
    ]
    return F.reshape(F.concat(*sides, *sides, dim=0), shape=(1, 1, 4))


def base_anchors(
    sizes: Sequence[float], ratios: Sequence[float], rounded: bool = False
) -> np.ndarray:
    """Returns (A, 4) float32 boxes around the origin; sizes change fastest, as in torchvision."""
    root = np.sqrt(np.asarray(ratios, "float64"))[:, None]
    side = np.asarray(sizes, "float64")[None]
    w, h = (side / root).reshape(-1), (side * root).reshape(-1)
    boxes = np.stack([-w, -h, w, h], axis=1) / 2
    return (boxes.round() if rounded else boxes).astype("float32")


def pixel_anchors(sizes: Sequence[float], ratios: Sequence[float], stride: int) -> np.ndarray:
    """Returns (A, 4) float32 boxes around the origin for ``pixel_corners`` of AnchorGrid.

    They are those of generate_anchors in py-faster-rcnn and of RPNAnchorGenerator in GluonCV.
    """
    ratio, scales = np.asarray(ratios, "float64"), np.asarray(sizes, "float64") / stride
    w = np.round(np.sqrt(stride**2 / ratio))
    h = np.round(w * ratio)
    w, h = (np.outer(side, scales).reshape(-1) for side in (w, h))
    return np.stack([-w, -h, w - 2, h - 2], axis=1).astype("float32") / 2
