"""The base of all RoI extractors, which resample the features under each RoI, and RoIAlign."""

import math
from typing import Any, Callable, Dict, Optional, Sequence

from mxnet.gluon import HybridBlock

from detkit import ops
from detkit.models.levels import LevelChoice, chosen_levels
from detkit.registry import ROI_EXTRACTORS
from detkit.typing import Namespace, NDArray, PerLevel, Tensor

ADAPTIVE = 0  # the ``sampling`` of ops.roi_align that takes as many points as cover the RoI

COMBINATIONS: Dict[str, Callable[[Namespace, Sequence[Tensor]], Tensor]] = {
    "sum": lambda F, levels: F.add_n(*levels),
    "max": lambda F, levels: F.max(F.stack(*levels, axis=0), axis=0),
    "concat": lambda F, levels: F.concat(*levels, dim=1),
}


class RoIExtractor(HybridBlock):
    """The base of all extractors: the maps that there are, and those that an RoI is pooled from.

    strides, channels: derived from the neck.
    size: P, the cells along a side of the output.
    levels: the maps that are pooled from, see chosen_levels; null: all. FPN's P6 is for the RPN
        alone, so that 4 of its 5 maps are chosen.
    canonical_level, canonical_size: an RoI of that size in pixels is pooled from that level, by
        default P4 (Lin et al. 2017, equation 1).
    combine: null, or how every RoI is pooled from all levels instead: the sum ("sum"), the maximum
        ("max"; Liu et al. 2018, section 3.2) or the concatenation ("concat") of their results.
    level_margin: pixels that are added to the sides of an RoI when its level is chosen; 1 gives
        GluonCV's numbers.

    The attribute ``channels`` is C of the output; with "concat", it is that of all levels together.
    The attribute ``differentiable`` is whether the output has a gradient with respect to the RoIs.
    """

    differentiable = False

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
    ) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"size: expected at least 1, found {size}")
        if combine and combine not in COMBINATIONS:
            kinds = ", ".join(map(repr, COMBINATIONS))
            raise ValueError(f"combine: expected one of {kinds} or null, found {combine!r}")
        self._maps = chosen_levels(levels, len(strides))
        self._strides = tuple(strides[self._maps])
        self._combine = COMBINATIONS[combine] if combine else None
        first = round(math.log2(self._strides[0]))
        several = len(self._strides) > 1 and not combine
        by_size = ops.Levels(first, canonical_level, canonical_size, level_margin)
        self._levels = by_size if several else None
        self.size = size
        self.channels = channels * (len(self._strides) if combine == "concat" else 1)

    def forward(self, features: PerLevel, rois: NDArray) -> NDArray:
        """Returns the pooled features (B * R, C, P, P).

        features: maps (B, C, H, W), finest first; rois (B, R, 4) in pixels of the images.
        """
        # Maps that are not pooled from stay outside: a compiled block warns of unused inputs.
        return super().forward(features[self._maps], rois)

    def hybrid_forward(self, F: Namespace, maps: PerLevel, rois: Tensor) -> Tensor:
        """Returns what ``forward`` does, from the chosen maps."""
        if self._levels:
            return self.pool(F, maps, rois, stride=self._strides, levels=self._levels)
        pooled = [
            self.pool(F, level, rois, stride=stride, levels=None)
            for level, stride in zip(maps, self._strides)
        ]
        return self._combine(F, pooled) if self._combine else pooled[0]

    def pool(self, F: Namespace, features: Any, rois: Tensor, **levels: Any) -> Tensor:
        """Returns the pooled features, by the operator of detkit.ops that a subclass calls.

        features: a map, or a list of maps with ``levels`` by which the operator chooses one.
        """
        raise NotImplementedError


@ROI_EXTRACTORS.register()
class RoIAlign(RoIExtractor):
    """The mean, or the maximum, of bilinear samples in each cell (He et al. 2017, section 3).

    sampling: points per cell and axis. null takes as many as cover the RoI, in the mode "average".
    aligned: whether RoIs are shifted by half a pixel, as in Detectron2's ROIAlignV2 and unlike in
        torchvision's detectors.
    mode: "average" or "max".

    For all other arguments, see RoIExtractor.
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
    ) -> None:
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
        check_mode(mode)
        if sampling is not None and sampling < 1:
            raise ValueError(
                f"sampling: expected at least 1 or null, found {sampling}; null takes as many "
                "points as cover the RoI"
            )
        if sampling is None and mode == "max":
            raise ValueError("sampling: expected at least 1 if the maximum is taken, found null")
        self._sampling, self._aligned, self._mode = sampling or ADAPTIVE, aligned, mode

    def pool(self, F: Namespace, features: Any, rois: Tensor, **levels: Any) -> Tensor:
        """Returns the pooled features by ops.roi_align."""
        levels.update(sampling=self._sampling, aligned=self._aligned, mode=self._mode)
        return ops.roi_align(F, features, rois, self.size, **levels)


def check_mode(mode: str) -> None:
    """Raises ValueError unless ``mode`` is "average" or "max"."""
    if mode not in ("average", "max"):
        raise ValueError(f"mode: expected 'average' or 'max', found {mode!r}")
