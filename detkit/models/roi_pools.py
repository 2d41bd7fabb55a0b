"""RoI extractors other than RoIAlign."""

from typing import Any, Optional, Sequence

from detkit import ops
from detkit.models.anchors import LevelChoice
from detkit.models.roi_extractors import RoIExtractor, check_mode
from detkit.registry import ROI_EXTRACTORS
from detkit.typing import Namespace, Tensor


@ROI_EXTRACTORS.register()
class RoIPool(RoIExtractor):
    """The maximum, or the mean, of each cell with rounded edges (Girshick 2015, section 2.1).

    mode: "max" or "average".

    For all other arguments, see RoIExtractor.
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
        self._mode = mode

    def pool(self, F: Namespace, features: Any, rois: Tensor, **levels: Any) -> Tensor:
        """Returns the pooled features by ops.roi_pool."""
        return ops.roi_pool(F, features, rois, self.size, mode=self._mode, **levels)


@ROI_EXTRACTORS.register()
class PrRoIPool(RoIExtractor):
    """The exact mean of the bilinear surface over each cell (Jiang et al. 2018).

    Its output has a gradient with respect to the RoIs. For all arguments, see RoIExtractor.
    """

    differentiable = True

    def pool(self, F: Namespace, features: Any, rois: Tensor, **levels: Any) -> Tensor:
        """Returns the pooled features by ops.prroi_pool."""
        return ops.prroi_pool(F, features, rois, self.size, **levels)


@ROI_EXTRACTORS.register()
class CropPool(RoIExtractor):
    """The maximum of each 2 x 2 of 2P x 2P bilinear samples, which reach from corner to corner.

    The PyTorch implementations of Faster R-CNN of 2017 pool in this way. For all arguments, see
    RoIExtractor.
    """

    def pool(self, F: Namespace, features: Any, rois: Tensor, **levels: Any) -> Tensor:
        """Returns the pooled features by ops.crop_pool."""
        return ops.crop_pool(F, features, rois, self.size, **levels)
