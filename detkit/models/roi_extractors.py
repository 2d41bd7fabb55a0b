"""RoI extractors: the features under each proposal, resampled to P x P cells."""

import math
from typing import Optional, Sequence

from mxnet.gluon import HybridBlock

from detkit import ops
from detkit.registry import ROI_EXTRACTORS


class RoIExtractor(HybridBlock):
    """What all extractors share: which maps there are, and which of them an RoI is pooled from.

    strides, channels: derived from the neck.
    size: P, the cells along a side.
    levels: the first so many maps are pooled from; all by default. (FPN's P6 is for the RPN
        alone: 4 of its 5.)
    canonical_level, canonical_size: an RoI of that size in pixels belongs to that level, P4 as a
        rule (Lin et al. 2017, equation 1).
    """

    def __init__(
        self,
        strides: Sequence[int],
        channels: int,
        size: int = 7,
        levels: Optional[int] = None,
        canonical_level: int = 4,
        canonical_size: float = 224.0,
    ):
        super().__init__()
        count = len(strides) if levels is None else levels
        if size < 1:
            raise ValueError(f"size is at least 1, not {size}")
        if not 1 <= count <= len(strides):
            raise ValueError(f"levels is 1 to {len(strides)}, the maps there are, not {count}")
        self.size, self.channels, self._strides = size, channels, tuple(strides[:count])
        first = round(math.log2(strides[0]))
        self._levels = ops.Levels(first, canonical_level, canonical_size) if count > 1 else None

    def hybrid_forward(self, F, features, rois):
        """features: a list of maps (B, C, H, W); rois (B, R, 4) image pixels: (B * R, C, P, P)."""
        if self._levels is None:
            return self.pool(F, features[0], rois, stride=self._strides[0], levels=None)
        maps = features[: len(self._strides)]
        return self.pool(F, maps, rois, stride=self._strides, levels=self._levels)

    def pool(self, F, features, rois, **levels):
        """What a subclass adds: its operator of detkit.ops."""
        raise NotImplementedError


@ROI_EXTRACTORS.register()
class RoIPool(RoIExtractor):
    """The maximum, or the average, of each cell, edges rounded (Girshick 2015, section 2.1).

    mode: "max" or "average". All else: see RoIExtractor.
    """

    def __init__(
        self,
        strides: Sequence[int],
        channels: int,
        size: int = 7,
        mode: str = "max",
        levels: Optional[int] = None,
        canonical_level: int = 4,
        canonical_size: float = 224.0,
    ):
        super().__init__(strides, channels, size, levels, canonical_level, canonical_size)
        _check_mode(mode)
        self._mode = mode

    def pool(self, F, features, rois, **levels):
        """ops.roi_pool."""
        return ops.roi_pool(F, features, rois, self.size, mode=self._mode, **levels)


@ROI_EXTRACTORS.register()
class RoIAlign(RoIExtractor):
    """The mean, or the maximum, of bilinear samples in each cell (He et al. 2017, section 3).

    sampling: points per cell and axis; 0 takes as many as cover the RoI.
    aligned: shift by half a pixel (Detectron2's ROIAlignV2); torchvision's detectors do not.
    mode: "average" or "max". All else: see RoIExtractor.
    """

    def __init__(
        self,
        strides: Sequence[int],
        channels: int,
        size: int = 7,
        sampling: int = 2,
        aligned: bool = True,
        mode: str = "average",
        levels: Optional[int] = None,
        canonical_level: int = 4,
        canonical_size: float = 224.0,
    ):
        super().__init__(strides, channels, size, levels, canonical_level, canonical_size)
        _check_mode(mode)
        self._sampling, self._aligned, self._mode = sampling, aligned, mode

    def pool(self, F, features, rois, **levels):
        """ops.roi_align."""
        how = {"sampling": self._sampling, "aligned": self._aligned, "mode": self._mode}
        return ops.roi_align(F, features, rois, self.size, **how, **levels)


@ROI_EXTRACTORS.register()
class PrRoIPool(RoIExtractor):
    """The exact mean of the bilinear surface over each cell (Jiang et al. 2018).

    All arguments: see RoIExtractor.
    """

    def pool(self, F, features, rois, **levels):
        """ops.prroi_pool."""
        return ops.prroi_pool(F, features, rois, self.size, **levels)


@ROI_EXTRACTORS.register()
class CropPool(RoIExtractor):
    """2P x 2P bilinear samples from corner to corner, the maximum of each 2 x 2.

    As the PyTorch Faster R-CNNs of 2017 pool. All arguments: see RoIExtractor.
    """

    def pool(self, F, features, rois, **levels):
        """ops.crop_pool."""
        return ops.crop_pool(F, features, rois, self.size, **levels)


def _check_mode(mode):
    if mode not in ("average", "max"):
        raise ValueError(f'mode is "average" or "max", not {mode!r}')
