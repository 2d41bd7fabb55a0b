"""Spatial pyramid pooling (He et al. 2014): an RoI as the bins of several grids."""

from typing import Sequence

from mxnet.gluon import HybridBlock

from detkit import ops
from detkit.registry import ROI_EXTRACTORS
from detkit.typing import Namespace, PerLevel, Tensor


@ROI_EXTRACTORS.register()
class SPP(HybridBlock):
    """The maximum in each bin of several grids over the RoI (He et al. 2014, section 2.2).

    An RoI is pooled from one map: the one on which its area is the nearest to a canonical one. The
    maps are those of an ImagePyramid, or of any backbone or neck.

    The RoI's window on a map of stride s, in cells counted from 0, reaches from floor(x1 / s) + 1
    to ceil(x2 / s) - 1, both included (appendix A). These are the cells whose centres lie within
    the RoI, if the centre of cell i is the pixel s * i. The window is clipped to the map and has at
    least one cell. Of n bins over a cells, bin i covers floor(i a / n) to ceil((i + 1) a / n),
    calculated in float32 by ops.roi_pool. For 1 to 6 bins that is exact. For more, a bin may cover
    one more cell, such as the last of 7 bins over 57 cells.

    strides, channels: derived from the backbone or the neck.
    bins: the bins along a side of each grid. The paper's four grids have 50 bins together.
    canonical_cells: the side, in cells, of the square with the canonical area. The paper's is
        224 pixels (section 4.1), 14 cells of stride 16.

    The bins are no square, so that they become channels of a single cell: ``size`` is 1, and
    ``channels`` is the number of the maps' channels times that of all bins.
    """

    size = 1

    def __init__(
        self,
        strides: Sequence[float],
        channels: int,
        bins: Sequence[int] = (1, 2, 3, 6),
        canonical_cells: float = 14.0,
    ) -> None:
        super().__init__()
        if not bins or any(side < 1 for side in bins):
            raise ValueError(f"bins: expected one or more numbers from 1 on, found {list(bins)}")
        if not canonical_cells > 0:
            raise ValueError(f"canonical_cells: expected a number above 0, found {canonical_cells}")
        self._strides, self._bins, self._area = tuple(strides), tuple(bins), canonical_cells**2
        self.channels = channels * sum(side**2 for side in bins)

    def hybrid_forward(self, F: Namespace, maps: PerLevel, rois: Tensor) -> Tensor:
        """Returns the pooled features (B * R, C * bins, 1, 1), grid by grid.

        The bins of a grid come channel by channel, row by row. RoIs get no gradient.

        maps: (B, C, H, W) of each stride; rois (B, R, 4) in pixels of the images. Coordinates that
            are not finite count as 0.
        """
        rois = ops.finite(F, F.BlockGrad(rois), 0)
        nearest = self._nearest(F, rois)
        out = None
        for number, (features, stride) in enumerate(zip(maps, self._strides)):
            own = nearest == number
            # An RoI of another map shrinks to the first cell, because pooling it is then fast.
            window = F.broadcast_mul(_window(F, features, rois, stride), F.expand_dims(own, axis=2))
            pooled = [
                F.flatten(ops.roi_pool(F, features, window, side, stride=1)) for side in self._bins
            ]
            bins = F.concat(*pooled, dim=1)
            out = bins if out is None else F.where(F.reshape(own, shape=(-1,)), bins, out)
        return F.reshape(out, shape=(0, -1, 1, 1))

    def _nearest(self, F: Namespace, rois: Tensor) -> Tensor:
        """Returns the number (B, R) of the map of each RoI; of equally near maps, the finest."""
        x1, y1, x2, y2 = F.split(rois, num_outputs=4, axis=2)
        area = F.maximum(x2 - x1, 0) * F.maximum(y2 - y1, 0)
        gaps = [F.abs(area / stride**2 - self._area) for stride in self._strides]
        return F.argmax(-F.concat(*gaps, dim=2), axis=2)


def _window(F: Namespace, features: Tensor, rois: Tensor, stride: float) -> Tensor:
    """Returns the first and the last cell (B, R, 4), as x1 y1 x2 y2, of finite RoIs on a map."""
    plane = ops.plane(F, features)
    sides = F.concat(ops.extent(F, plane, axis=3), ops.extent(F, plane, axis=2), dim=0)
    last_cell = F.reshape(sides - 1, shape=(1, 1, 2))
    first = F.floor(F.slice_axis(rois, axis=2, begin=0, end=2) / stride) + 1
    last = F.ceil(F.slice_axis(rois, axis=2, begin=2, end=4) / stride) - 1
    first = F.broadcast_minimum(F.maximum(first, 0), last_cell)
    last = F.broadcast_minimum(last, last_cell)
    return F.concat(first, F.maximum(first, last), dim=2)
