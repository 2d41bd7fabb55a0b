"""Rows of padded arrays: taking them, telling the finite from the rest, masking the padding."""


def gather_rows(F, data, index):
    """Rows (B, S, C) of data (B, N, C) at index (B, S), image by image."""
    image = F.broadcast_like(F.expand_dims(F.contrib.arange_like(index, axis=0), axis=1), index)
    return F.gather_nd(data, F.stack(image, index, axis=0))


def finite(F, data, otherwise):
    """data with NaN and infinities replaced by the scalar ``otherwise``."""
    # NaN compares as unequal to everything, so one comparison finds all three.
    return F.where(F.abs(data) <= 3.4e38, data, F.ones_like(data) * otherwise)


def valid_area(F, images, sizes):
    """1 inside the image, 0 in the padding: (B, 1, H, W) for images (B, C, H, W), sizes (B, 2)."""
    h, w = (F.reshape(size, shape=(-1, 1, 1, 1)) for size in F.split(sizes, num_outputs=2, axis=1))
    rows = F.reshape(F.contrib.arange_like(images, axis=2), shape=(1, 1, -1, 1))
    columns = F.reshape(F.contrib.arange_like(images, axis=3), shape=(1, 1, 1, -1))
    return F.broadcast_mul(F.broadcast_lesser(rows, h), F.broadcast_lesser(columns, w))


def extent(F, data, axis):
    """The length of an axis of data, as an array (1,)."""
    return F.max(F.contrib.arange_like(data, axis=axis), keepdims=True) + 1
