"""Padded arrays and feature maps whose sizes only the graph knows."""


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


def grid_shifts(F, features, offset):
    """Centres (1, H * W, 4) as x y x y, in cells, of the cells of features (B, C, H, W).

    offset is where in its cell the centre lies, in cells: 0 for the upper left corner
    (torchvision, Detectron2), 0.5 for the middle. Rows run along x first.
    """
    one = plane(F, features)
    ys = F.reshape(F.contrib.arange_like(one, axis=2), shape=(1, 1, -1, 1))
    xs = F.reshape(F.contrib.arange_like(one, axis=3), shape=(1, 1, 1, -1))
    zeros = F.zeros_like(one)
    y = F.reshape(F.broadcast_add(zeros, ys), shape=(1, -1, 1))
    x = F.reshape(F.broadcast_add(zeros, xs), shape=(1, -1, 1))
    return F.concat(x, y, x, y, dim=2) + offset


def plane(F, features):
    """One channel (1, 1, H, W) of features (B, C, H, W), to read H and W from; without a gradient.

    oneDNN keeps a convolution's result in an order of its own, and an operator that does not know
    it makes MXNet copy the whole map first, be it for the sizes alone. Here that happens once.
    (F.slice knows the order, and crashes on narrow maps.)
    """
    channel = F.slice_axis(features, axis=1, begin=0, end=1)
    return F.BlockGrad(F.slice_axis(channel, axis=0, begin=0, end=1))
