"""RoI pooling: features under a box, as P x P cells, from one map or from a pyramid."""

from functools import partial
from typing import NamedTuple

from detkit.ops import backend, fallback

AVERAGE, MAX = "average", "max"
_MODES = {AVERAGE: 0, MAX: 1}


class Levels(NamedTuple):
    """Which level of a pyramid an RoI is pooled from (Lin et al. 2017, equation 1).

    first: the number of the first map, as 2 for P2.
    canonical, canonical_size: an RoI of this size, in pixels, belongs to this level.
    margin: pixels that its sides are longer for this.
    """

    first: int = 2
    canonical: int = 4
    canonical_size: float = 224.0
    margin: float = 0.0


def roi_align(F, features, rois, size, stride, sampling, aligned, mode=AVERAGE, levels=None):
    """RoIAlign (He et al. 2017, section 3): (B * R, C, size, size).

    features: (B, C, H, W) at ``stride``, or a list of maps with a list of strides; ``levels`` then
        says which RoI is pooled from which.
    rois: (B, R, 4) in image pixels; coordinates that are not finite count as 0, sides are at least
        a hundredth of a pixel.
    sampling: points per cell and axis, 0: as many as cover the RoI. aligned: shift by half a cell,
        as Detectron2 does. mode: ``average`` or ``max`` of the points.

    Raises ValueError for the maximum of adaptively many samples (sampling 0).
    """
    if mode == MAX and not sampling:
        raise ValueError('RoIAlign of mode "max" needs sampling >= 1, not 0 (adaptive)')
    if not backend.native():
        pool = partial(fallback.roi_align, sampling=sampling, aligned=aligned, mode=mode)
        return _made_of_mxnets(F, pool, features, rois, size, stride, levels)
    pooling = {"sampling": sampling, "aligned": int(aligned), "mode": _MODES[mode]}
    return _native(F, F.detkit_roi_align, features, rois, size, stride, levels, **pooling)


def roi_pool(F, features, rois, size, stride, mode=MAX, levels=None):
    """RoIPool (Girshick 2015, section 2.1): the maximum, or the average, of each cell.

    Arguments and result as for ``roi_align``; the RoI and its cells are cut at whole cells.
    """
    if not backend.native():
        pool = partial(fallback.roi_pool, mode=mode)
        return _made_of_mxnets(F, pool, features, rois, size, stride, levels)
    mode = _MODES[mode]
    return _native(F, F.detkit_roi_pool, features, rois, size, stride, levels, mode=mode)


def prroi_pool(F, features, rois, size, stride, levels=None):
    """Precise RoI Pooling (Jiang et al. 2018): the mean of the bilinear surface over each cell.

    Arguments and result as for ``roi_align``. The gradient goes to the RoIs as well.
    """
    if not backend.native():
        pool = fallback.prroi_pool
        return _made_of_mxnets(F, pool, features, rois, size, stride, levels)
    return _native(F, F.detkit_prroi_pool, features, rois, size, stride, levels)


def crop_pool(F, features, rois, size, stride, levels=None):
    """Crop pooling: 2P x 2P bilinear samples from corner to corner, the maximum of each 2 x 2.

    As the PyTorch Faster R-CNNs of 2017 pool. Arguments and result as for ``roi_align``.
    """
    if not backend.native():
        pool = fallback.crop_pool
        return _made_of_mxnets(F, pool, features, rois, size, stride, levels)
    return _native(F, F.detkit_crop_pool, features, rois, size, stride, levels)


def _made_of_mxnets(F, pool, features, rois, size, stride, levels):
    """One of the fallback's, from one map or from several."""
    if levels is None:
        return pool(F, features, rois, size, stride)
    return fallback.pool_levels(
        F,
        lambda maps, rois, stride: pool(F, maps, rois, size, stride),
        features,
        stride,
        rois,
        levels.first,
        canonical_level=levels.canonical,
        canonical_size=levels.canonical_size,
        margin=levels.margin,
    )


def _native(F, operator, features, rois, size, stride, levels, **pooling):
    """Call one of the library's RoI operators: RoIs with their image's number, then the maps."""
    maps, strides = (features, stride) if levels else ([features], [stride])
    levels = levels or Levels()  # of one map, none of it is used
    image = F.reshape(F.contrib.arange_like(rois, axis=0), shape=(-1, 1, 1))
    image = F.broadcast_like(image, F.slice_axis(rois, axis=2, begin=0, end=1))
    rows = F.reshape(F.concat(image, rois, dim=2), shape=(-3, 0))
    # A library's backward overwrites a gradient that is to be added to; identity's adds.
    maps = [F.identity(map_) for map_ in maps]
    return operator(
        rows,
        *maps,
        size=size,
        strides=tuple(strides),
        first_level=levels.first,
        canonical_level=levels.canonical,
        canonical_size=levels.canonical_size,
        level_margin=levels.margin,
        **pooling,
    )
