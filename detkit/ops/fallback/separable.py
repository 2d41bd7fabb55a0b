"""Pooling in two steps: weights along y times features times weights along x."""

from typing import Tuple

from detkit.ops.fallback.arrays import steps
from detkit.typing import Namespace, Tensor


def cells(F: Namespace, features: Tensor, axis: int) -> Tensor:
    """Returns 0 .. length - 1 of an axis of the maps, (1, 1, 1, length)."""
    return F.reshape(F.contrib.arange_like(features, axis=axis), shape=(1, 1, 1, -1))


def edges(F: Namespace, begin: Tensor, end: Tensor, size: int) -> Tuple[Tensor, Tensor]:
    """Divides begin..end, both (B, R, 1), into P = size equal parts.

    Returns their beginnings and ends, both (B, R, P, 1).
    """
    part = F.reshape(steps(F, begin, size), shape=(1, 1, -1))
    side = (end - begin) / size
    low = F.broadcast_add(begin, F.broadcast_mul(side, part))
    high = F.broadcast_add(begin, F.broadcast_mul(side, part + 1))
    return F.expand_dims(low, axis=3), F.expand_dims(high, axis=3)


def mean_hat(F: Namespace, begin: Tensor, end: Tensor, positions: Tensor) -> Tensor:
    """Returns the mean over begin..end of the hat function max(0, 1 - |t - position|).

    begin, end: (B, R, P, 1). positions: (1, 1, 1, L). The result is (B, R, P, L).

    The hat is a straight line on each side of the position, and its mean over an interval is the
    value in the middle. A begin or an end exactly at the position counts for the side on which the
    part lies. The gradient is then right there too, because clip has a gradient at its limit and
    relu has none at 0.
    """
    begin, end = F.broadcast_sub(begin, positions), F.broadcast_sub(end, positions)
    low, high = F.maximum(-F.relu(-begin), -1), F.clip(end, -1, 0)
    left = _share(F, low, high, begin, end) * (1 + (low + high) * 0.5)
    low, high = F.clip(begin, 0, 1), F.minimum(F.relu(end), 1)
    right = _share(F, low, high, begin, end) * (1 - (low + high) * 0.5)
    return left + right


def _share(F: Namespace, low: Tensor, high: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """Returns the share of begin..end that low..high is.

    If it is all of it, the share is the constant 1: its gradient would be a rounding error.
    """
    share = (high - low) / F.maximum(end - begin, 1e-9)
    return F.where((low == begin) * (high == end), F.ones_like(share), share)


def contract(F: Namespace, features: Tensor, wy: Tensor, wx: Tensor, size: int) -> Tensor:
    """Returns weighted sums (B * R, C, P, P) of features (B, C, H, W), P = size.

    wy, wx: the weights (B, R, P, H) and (B, R, P, W).

    The largest intermediate array has B * R * P * C * H elements. A NaN or an infinity anywhere in
    the features of an image spreads to all of its RoIs, because 0 * NaN is NaN.
    """
    rows = F.reshape(features, shape=(0, -3, 0))
    across = F.batch_dot(F.reshape(wx, shape=(0, -3, 0)), rows, transpose_b=True)
    across = F.reshape_like(across, features, lhs_begin=2, lhs_end=3, rhs_begin=1, rhs_end=3)
    across = F.reshape(across, shape=(0, -4, -1, size, 0, 0))  # (B, R, P, C, H)
    across = F.reshape(across, shape=(-3, -3, 0))
    pooled = F.batch_dot(across, F.reshape(wy, shape=(-3, 0, 0)), transpose_b=True)
    pooled = F.reshape(pooled, shape=(0, -4, size, -1, 0))  # (B * R, P of x, C, P of y)
    return F.transpose(pooled, axes=(0, 2, 3, 1))
