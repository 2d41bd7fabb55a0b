"""The patches of maps; numpy's sliding_window_view came with version 1.20."""

import numpy as np


def patches(maps, side):
    """Every square of maps (B, C, H, W), without copies: (B, C, rows, columns, side, side)."""
    height, width = maps.shape[2:]
    shape = (*maps.shape[:2], height - side + 1, width - side + 1, side, side)
    strides = maps.strides + maps.strides[2:]
    return np.lib.stride_tricks.as_strided(maps, shape, strides, writeable=False)
