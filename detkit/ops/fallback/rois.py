"""Functions that all kinds of RoI pooling share: clean RoIs, their levels, pyramids of maps."""

from typing import Any, Callable, Optional, Sequence, Tuple

from detkit.constants import LEVEL_SLACK, MAX_ROI_COORDINATE, MIN_ROI_SIDE
from detkit.ops.fallback.arrays import is_finite, where_or
from detkit.typing import Namespace, Tensor


def clean_rois(F: Namespace, rois: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns x1, y1, x2, y2, each (..., 1), of RoIs (..., 4), cleaned as kernels.h defines.

    A clamped coordinate gets no gradient. If it was clamped to a distance from another coordinate,
    that one gets no gradient from it either.
    """
    rois = where_or(F, is_finite(F, rois), rois, 0)
    rois = F.clip(rois, -MAX_ROI_COORDINATE, MAX_ROI_COORDINATE)
    x1, y1, x2, y2 = F.split(rois, num_outputs=4, axis=-1)
    x2 = F.maximum(x2, F.BlockGrad(x1 + MIN_ROI_SIDE))
    y2 = F.maximum(y2, F.BlockGrad(y1 + MIN_ROI_SIDE))
    return x1, y1, x2, y2


def batch_rois(F: Namespace, rois: Tensor) -> Tensor:
    """Returns RoIs (B, R, 4) in MXNet's form: cleaned, (B * R, 5), the image's number first.

    Every image's number is in [0, B - 1]. MXNet's ROIAlign would write the result of a negative
    one into the rows of another RoI.
    """
    x1, y1, x2, y2 = clean_rois(F, rois)
    image = F.reshape(F.contrib.arange_like(rois, axis=0), shape=(-1, 1, 1))
    rows = F.concat(F.broadcast_like(image, x1), x1, y1, x2, y2, dim=2)
    return F.reshape(rows, shape=(-3, 0))


def roi_levels(
    F: Namespace,
    rois: Tensor,
    first_level: int,
    last_level: int,
    canonical_level: int = 4,
    canonical_size: float = 224.0,
    margin: float = 0.0,
) -> Tensor:
    """Returns the number (B, R) of the level that each RoI (B, R, 4) is pooled from.

    This is equation 1 of FPN (Lin et al. 2017), in torchvision's form, of sides that are ``margin``
    pixels longer.
    """
    x1, y1, x2, y2 = clean_rois(F, F.BlockGrad(rois))
    size = F.sqrt((x2 - x1 + margin) * (y2 - y1 + margin))
    level = F.floor(F.log2(size / canonical_size) + (canonical_level + LEVEL_SLACK))
    return F.squeeze(F.clip(level, first_level, last_level), axis=2)


def pool_levels(
    F: Namespace,
    pool: Callable[[Tensor, Tensor, float], Tensor],
    features: Sequence[Tensor],
    strides: Sequence[float],
    rois: Tensor,
    first_level: int,
    **canonical: Any,
) -> Tensor:
    """Pools each RoI (B, R, 4) from its own level: (B * R, C, P, P).

    pool: a function of (features, rois, stride) that pools all RoIs from one map.
    features: the maps (B, C, H, W) of the levels from ``first_level`` on.
    canonical: canonical_level, canonical_size and margin of ``roi_levels``.
    """
    last_level = first_level + len(features) - 1
    levels = roi_levels(F, rois, first_level, last_level, **canonical)
    out: Optional[Tensor] = None
    for number, (maps, stride) in enumerate(zip(features, strides), start=first_level):
        own = levels == number
        # An RoI of another level shrinks to a point at 0, because pooling it is then fast.
        pooled = pool(maps, F.broadcast_mul(rois, F.expand_dims(own, axis=2)), stride)
        out = pooled if out is None else F.where(F.reshape(own, shape=(-1,)), pooled, out)
    return out
