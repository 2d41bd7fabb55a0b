"""Pooling in two steps: weights along y times features times weights along x."""

from detkit.ops.fallback.arrays import steps


def cells(F, features, axis):
    """0 .. length - 1 of an axis of the maps, (1, 1, 1, length)."""
    return F.reshape(F.contrib.arange_like(features, axis=axis), shape=(1, 1, 1, -1))


def edges(F, begin, end, size):
    """Begin and end of P equal parts of begin..end, both (B, R, 1) -> (B, R, P, 1)."""
    part = F.reshape(steps(F, begin, size), shape=(1, 1, -1))
    side = (end - begin) / size
    low = F.broadcast_add(begin, F.broadcast_mul(side, part))
    high = F.broadcast_add(begin, F.broadcast_mul(side, part + 1))
    return F.expand_dims(low, axis=3), F.expand_dims(high, axis=3)


def mean_hat(F, begin, end, positions):
    """The mean over begin..end, (B, R, P, 1), of the hat max(0, 1 - |t - position|): (B, R, P, L).

    Left and right of the position it is a straight line, whose mean is the value in the middle.
    A begin or an end at the position itself belongs to the side where the cell lies, so that the
    gradient is right there too: relu has none at 0, clip has.
    """
    begin, end = F.broadcast_sub(begin, positions), F.broadcast_sub(end, positions)
    low, high = F.maximum(-F.relu(-begin), -1), F.clip(end, -1, 0)
    left = _share(F, low, high, begin, end) * (1 + (low + high) * 0.5)
    low, high = F.clip(begin, 0, 1), F.minimum(F.relu(end), 1)
    right = _share(F, low, high, begin, end) * (1 - (low + high) * 0.5)
    return left + right


def _share(F, low, high, begin, end):
    """How much of begin..end is low..high. Where it is all, there is no gradient to round off."""
    share = (high - low) / F.maximum(end - begin, 1e-9)
    return F.where((low == begin) * (high == end), F.ones_like(share), share)


def contract(F, features, wy, wx, size):
    """(B * R, C, P, P) of features (B, C, H, W), weights (B, R, P, H) and (B, R, P, W); P is size.

    The largest array on the way has B * R * P * C * H elements. A NaN or an infinity anywhere in
    an image's features spreads to all of its RoIs, since 0 * NaN is NaN.
    """
    rows = F.reshape(features, shape=(0, -3, 0))
    across = F.batch_dot(F.reshape(wx, shape=(0, -3, 0)), rows, transpose_b=True)
    across = F.reshape_like(across, features, lhs_begin=2, lhs_end=3, rhs_begin=1, rhs_end=3)
    across = F.reshape(across, shape=(0, -4, -1, size, 0, 0))  # (B, R, P, C, H)
    across = F.reshape(across, shape=(-3, -3, 0))
    pooled = F.batch_dot(across, F.reshape(wy, shape=(-3, 0, 0)), transpose_b=True)
    pooled = F.reshape(pooled, shape=(0, -4, size, -1, 0))  # (B * R, P of x, C, P of y)
    return F.transpose(pooled, axes=(0, 2, 3, 1))
