"""RoI extractors: the features under each proposal, resampled to P x P cells."""

import math
from typing import Optional, Sequence

from mxnet.gluon import HybridBlock

from detkit import ops
from detkit.models.anchors import LevelChoice, chosen_levels
from detkit.registry import ROI_EXTRACTORS

ADAPTIVE = 0  # what ops.roi_align takes as ``sampling`` for as many points as cover the RoI

COMBINATIONS = {
    "sum": lambda F, levels: F.add_n(*levels),
    "max": lambda F, levels: F.max(F.stack(*levels, axis=0), axis=0),
    "concat": lambda F, levels: F.concat(*levels, dim=1),
}


class RoIExtractor(HybridBlock):
    """What all extractors share: which maps there are, and which of them an RoI is pooled from.

    strides, channels: derived from the neck.
    size: P, the cells along a side.
    levels: the first so many maps are pooled from; all by default. (FPN's P6 is for the RPN
        alone: 4 of its 5.) Or which, by their numbers: [2] is the third alone (chosen_levels).
    canonical_level, canonical_size: an RoI of that size in pixels belongs to that level, P4 as a
        rule (Lin et al. 2017, equation 1).
    combine: every RoI is pooled from all levels instead, and what they give is added up ("sum"),
        its maximum taken ("max"; Liu et al. 2018, section 3.2) or put side by side ("concat").
    level_margin: pixels that an RoI's sides are longer when its level is chosen. It exists to give
        GluonCV's numbers, where it is 1.

    The attribute ``channels`` is C of what is returned, with "concat" those of all levels.
    """

    def __init__(
        self,
        strides: Sequence[int],
        channels: int,
        size: int = 7,
        levels: LevelChoice = None,
        canonical_level: int = 4,
        canonical_size: float = 224.0,
        combine: Optional[str] = None,
        level_margin: float = 0.0,
    ):
        super().__init__()
        if size < 1:
            raise ValueError(f"size is at least 1, not {size}")
        if combine and combine not in COMBINATIONS:
            raise ValueError(f"combine is one of {', '.join(COMBINATIONS)}, not {combine!r}")
        self._maps = chosen_levels(levels, len(strides))
        self._strides, self._combine = tuple(strides[self._maps]), COMBINATIONS.get(combine)
        first = round(math.log2(self._strides[0]))
        several = len(self._strides) > 1 and not combine
        by_size = ops.Levels(first, canonical_level, canonical_size, level_margin)
        self._levels = by_size if several else None
        self.size = size
        self.channels = channels * (len(self._strides) if combine == "concat" else 1)

    def forward(self, features, rois):
        """features: a list of maps (B, C, H, W); rois (B, R, 4) image pixels: (B * R, C, P, P)."""
        # Out here, because MXNet warns of inputs that a compiled block does not use.
        return super().forward(features[self._maps], rois)

    def hybrid_forward(self, F, maps, rois):
        """As ``forward``, of the chosen maps alone."""
        if self._levels:
            return self.pool(F, maps, rois, stride=self._strides, levels=self._levels)
        pooled = [
            self.pool(F, level, rois, stride=stride, levels=None)
            for level, stride in zip(maps, self._strides)
        ]
        return self._combine(F, pooled) if self._combine else pooled[0]

    def pool(self, F, features, rois, **levels):
        """What a subclass adds: its operator of detkit.ops."""
        raise NotImplementedError


@ROI_EXTRACTORS.register()
class RoIPool(RoIExtractor):
    """The maximum, or the average, of each cell, edges rounded (Girshick 2015, section 2.1).

    mode: "max" or "average".

    All other arguments: see RoIExtractor.
    """

    def __init__(
        self,
        strides: Sequence[int],
        channels: int,
        size: int = 7,
        mode: str = "max",
        levels: LevelChoice = None,
        canonical_level: int = 4,
        canonical_size: float = 224.0,
        combine: Optional[str] = None,
        level_margin: float = 0.0,
    ):
        super().__init__(
            strides,
            channels,
            size=size,
            levels=levels,
            canonical_level=canonical_level,
            canonical_size=canonical_size,
            combine=combine,
            level_margin=level_margin,
        )
        _check_mode(mode)
        self._mode = mode

    def pool(self, F, features, rois, **levels):
        """ops.roi_pool."""
        return ops.roi_pool(F, features, rois, self.size, mode=self._mode, **levels)


@ROI_EXTRACTORS.register()
class RoIAlign(RoIExtractor):
    """The mean, or the maximum, of bilinear samples in each cell (He et al. 2017, section 3).

    sampling: points per cell and axis; null takes as many as cover the RoI, in the mode "average".
    aligned: shift by half a pixel (Detectron2's ROIAlignV2); torchvision's detectors do not.
    mode: "average" or "max".

    All other arguments: see RoIExtractor.
    """

    def __init__(
        self,
        strides: Sequence[int],
        channels: int,
        size: int = 7,
        sampling: Optional[int] = 2,
        aligned: bool = True,
        mode: str = "average",
        levels: LevelChoice = None,
        canonical_level: int = 4,
        canonical_size: float = 224.0,
        combine: Optional[str] = None,
        level_margin: float = 0.0,
    ):
        super().__init__(
            strides,
            channels,
            size=size,
            levels=levels,
            canonical_level=canonical_level,
            canonical_size=canonical_size,
            combine=combine,
            level_margin=level_margin,
        )
        _check_mode(mode)
        if sampling is not None and sampling < 1:
            raise ValueError(
                f"sampling: expected at least 1 or null, found {sampling}; null takes as many "
                "points as cover the RoI"
            )
        if sampling is None and mode == "max":
            raise ValueError("sampling: expected at least 1 where the maximum is taken, found null")
        self._sampling, self._aligned, self._mode = sampling or ADAPTIVE, aligned, mode

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
