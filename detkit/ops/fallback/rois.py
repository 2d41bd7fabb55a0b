"""What all kinds of RoI pooling share: cleaned RoIs, their levels, several maps."""

from detkit.constants import LEVEL_SLACK, MAX_ROI_COORDINATE, MIN_ROI_SIDE
from detkit.ops.fallback.arrays import is_finite, keep


def clean_rois(F, rois):
    """x1, y1, x2, y2, each (..., 1), of RoIs (..., 4), as kernels.h says above DetkitRoIs.

    A coordinate that was clamped gets no gradient, nor does its clamping give one to another.
    """
    rois = F.clip(keep(F, is_finite(F, rois), rois, 0), -MAX_ROI_COORDINATE, MAX_ROI_COORDINATE)
    x1, y1, x2, y2 = F.split(rois, num_outputs=4, axis=-1)
    x2 = F.maximum(x2, F.BlockGrad(x1 + MIN_ROI_SIDE))
    y2 = F.maximum(y2, F.BlockGrad(y1 + MIN_ROI_SIDE))
    return x1, y1, x2, y2


def batch_rois(F, rois):
    """RoIs (B, R, 4) as MXNet wants them: cleaned, (B * R, 5) with the image's number first.

    Every image index is in 0..B-1: ROIAlign on a negative one writes into a neighbour's output.
    """
    x1, y1, x2, y2 = clean_rois(F, rois)
    image = F.reshape(F.contrib.arange_like(rois, axis=0), shape=(-1, 1, 1))
    rows = F.concat(F.broadcast_like(image, x1), x1, y1, x2, y2, dim=2)
    return F.reshape(rows, shape=(-3, 0))


def roi_levels(
    F, rois, first_level, last_level, canonical_level=4, canonical_size=224.0, margin=0.0
):
    """The number (B, R) of the level that each RoI (B, R, 4) is pooled from.

    FPN (Lin et al. 2017), equation 1, in torchvision's form; sides are ``margin`` pixels longer.
    """
    x1, y1, x2, y2 = clean_rois(F, F.BlockGrad(rois))
    size = F.sqrt((x2 - x1 + margin) * (y2 - y1 + margin))
    level = F.floor(F.log2(size / canonical_size) + (canonical_level + LEVEL_SLACK))
    return F.squeeze(F.clip(level, first_level, last_level), axis=2)


def pool_levels(F, pool, features, strides, rois, first_level, **canonical):
    """Each RoI (B, R, 4) pooled from its own level: (B * R, C, P, P).

    features are the maps of the levels from ``first_level`` on, and pool(features, rois, stride)
    pools all RoIs from one of them. canonical: canonical_level, canonical_size, margin of
    roi_levels.
    """
    last_level = first_level + len(features) - 1
    levels = roi_levels(F, rois, first_level, last_level, **canonical)
    out = None
    for number, (maps, stride) in enumerate(zip(features, strides), start=first_level):
        own = levels == number
        # Elsewhere an RoI costs next to nothing: it shrinks to the smallest.
        pooled = pool(maps, F.broadcast_mul(rois, F.expand_dims(own, axis=2)), stride)
        out = pooled if out is None else F.where(F.reshape(own, shape=(-1,)), pooled, out)
    return out
