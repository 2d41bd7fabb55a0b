"""RoI pooling: the features under a box as P x P cells, from one map or from a pyramid."""

from functools import partial
from typing import Any, Callable, NamedTuple, Optional, Sequence, Union, cast

from detkit.ops import backend, fallback
from detkit.ops.checks import require_floats, require_maps, require_positive, require_strides
from detkit.typing import Namespace, Tensor

AVERAGE, MAX = "average", "max"
_MODES = {AVERAGE: 0, MAX: 1}

Maps = Union[Tensor, Sequence[Tensor]]  # one map, or the maps of a pyramid
Strides = Union[float, Sequence[float]]


class Levels(NamedTuple):
    """The rule that assigns RoIs to the levels of a pyramid (Lin et al. 2017, equation 1).

    first: the number of the first map, such as 2 for P2.
    canonical, canonical_size: the level of an RoI with this size in pixels.
    margin: pixels that are added to the sides of an RoI for this rule.
    """

    first: int = 2
    canonical: int = 4
    canonical_size: float = 224.0
    margin: float = 0.0


def roi_align(
    F: Namespace,
    features: Maps,
    rois: Tensor,
    size: int,
    stride: Strides,
    sampling: int,
    aligned: bool,
    mode: str = AVERAGE,
    levels: Optional[Levels] = None,
) -> Tensor:
    """Returns RoIAlign (He et al. 2017, section 3) of each RoI: (B * R, C, size, size).

    features, stride: a map (B, C, H, W) and its stride in pixels. With ``levels``, which then
        assigns each RoI to a map, a list of maps and a list of strides.
    rois: (B, R, 4) in image pixels. Coordinates that are not finite count as 0, and sides are at
        least MIN_ROI_SIDE.
    sampling: sample points for each cell and axis; 0 takes as many as cover the RoI.
    aligned: whether to shift by half a cell, as Detectron2 does.
    mode: ``average`` or ``max`` of the samples.

    Raises ValueError for ``max`` of an adaptive number of samples (sampling 0).
    """
    if mode == MAX and not sampling:
        raise ValueError(
            "RoIAlign: sampling: expected at least 1 if mode is 'max', found 0 (adaptive)"
        )
    _check("roi_align", features, rois, size, stride)
    if not backend.native():
        pool = partial(fallback.roi_align, sampling=sampling, aligned=aligned, mode=mode)
        return _from_fallback(F, pool, features, rois, size, stride, levels)
    pooling = {"sampling": sampling, "aligned": int(aligned), "mode": _MODES[mode]}
    return _native(F, F.detkit_roi_align, features, rois, size, stride, levels, **pooling)


def roi_pool(
    F: Namespace,
    features: Maps,
    rois: Tensor,
    size: int,
    stride: Strides,
    mode: str = MAX,
    levels: Optional[Levels] = None,
) -> Tensor:
    """Returns RoIPool (Girshick 2015, section 2.1) of each RoI.

    mode: ``max`` or ``average`` of the cells of the map in each of P x P parts.

    The borders of the RoI and of its P x P parts are rounded to whole cells of the map. The other
    arguments and the shape of the result are those of ``roi_align``.
    """
    _check("roi_pool", features, rois, size, stride)
    if not backend.native():
        pool = partial(fallback.roi_pool, mode=mode)
        return _from_fallback(F, pool, features, rois, size, stride, levels)
    pooling = {"mode": _MODES[mode]}
    return _native(F, F.detkit_roi_pool, features, rois, size, stride, levels, **pooling)


def prroi_pool(
    F: Namespace,
    features: Maps,
    rois: Tensor,
    size: int,
    stride: Strides,
    levels: Optional[Levels] = None,
) -> Tensor:
    """Returns Precise RoI Pooling (Jiang et al. 2018) of each RoI.

    A cell holds the mean of the bilinear surface over its part of the RoI, which is differentiable
    with respect to the RoI too. The arguments and the shape of the result are those of
    ``roi_align``.
    """
    _check("prroi_pool", features, rois, size, stride)
    if not backend.native():
        return _from_fallback(F, fallback.prroi_pool, features, rois, size, stride, levels)
    return _native(F, F.detkit_prroi_pool, features, rois, size, stride, levels)


def crop_pool(
    F: Namespace,
    features: Maps,
    rois: Tensor,
    size: int,
    stride: Strides,
    levels: Optional[Levels] = None,
) -> Tensor:
    """Returns crop pooling: the maximum of each 2 x 2 of 2P x 2P bilinear samples.

    The samples extend from corner to corner of the RoI, as in the PyTorch implementations of Faster
    R-CNN of 2017. The arguments and the shape of the result are those of ``roi_align``.
    """
    _check("crop_pool", features, rois, size, stride)
    if not backend.native():
        return _from_fallback(F, fallback.crop_pool, features, rois, size, stride, levels)
    return _native(F, F.detkit_crop_pool, features, rois, size, stride, levels)


def _check(operator: str, features: Maps, rois: Tensor, size: int, stride: Strides) -> None:
    maps = features if isinstance(features, (list, tuple)) else [features]
    require_floats(operator, rois=rois, **{f"features {n}": each for n, each in enumerate(maps)})
    require_maps(operator, maps, rois)
    require_positive(operator, size=size)
    require_strides(operator, stride)


def _from_fallback(
    F: Namespace,
    pool: Callable[..., Tensor],
    features: Maps,
    rois: Tensor,
    size: int,
    stride: Strides,
    levels: Optional[Levels],
) -> Tensor:
    """Pools by a function of the fallback, from one map or from several."""
    if levels is None:
        return pool(F, features, rois, size, stride)
    return fallback.pool_levels(
        F,
        lambda maps, rois, stride: pool(F, maps, rois, size, stride),
        features,
        cast(Sequence[float], stride),  # because levels are given
        rois,
        levels.first,
        canonical_level=levels.canonical,
        canonical_size=levels.canonical_size,
        margin=levels.margin,
    )


def _native(
    F: Namespace,
    operator: Callable[..., Tensor],
    features: Maps,
    rois: Tensor,
    size: int,
    stride: Strides,
    levels: Optional[Levels],
    **pooling: Any,
) -> Tensor:
    """Calls an RoI operator of the library with RoIs (B * R, 5), the image's number first."""
    strides = cast(Sequence[float], stride if levels else [stride])
    maps = features if levels else [features]
    levels = levels or Levels()  # with one map, the operator ignores it
    image = F.reshape(F.contrib.arange_like(rois, axis=0), shape=(-1, 1, 1))
    image = F.broadcast_like(image, F.slice_axis(rois, axis=2, begin=0, end=1))
    rows = F.reshape(F.concat(image, rois, dim=2), shape=(-3, 0))
    # The backward pass of a library's operator overwrites the gradient even if it should be added
    # to (grad_req "add"). That of identity adds.
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
