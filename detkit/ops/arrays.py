"""Functions on padded arrays and on feature maps whose sizes only the graph knows."""

from detkit.typing import Namespace, Tensor


def gather_rows(F: Namespace, data: Tensor, index: Tensor) -> Tensor:
    """Returns the rows (B, S, C) of data (B, N, C) at index (B, S), image by image."""
    image = F.broadcast_like(F.expand_dims(F.contrib.arange_like(index, axis=0), axis=1), index)
    return F.gather_nd(data, F.stack(image, index, axis=0))


def finite(F: Namespace, data: Tensor, otherwise: float) -> Tensor:
    """Returns data with NaN and infinities replaced by the scalar ``otherwise``."""
    # NaN compares as unequal to everything, so that one comparison detects all three.
    return F.where(F.abs(data) <= 3.4e38, data, F.ones_like(data) * otherwise)


def valid_area(F: Namespace, images: Tensor, sizes: Tensor) -> Tensor:
    """Returns a mask (B, 1, H, W): 1 inside the image, 0 in the padding.

    images: (B, C, H, W). sizes: (B, 2), the h and w of the valid part in pixels.
    """
    h, w = (F.reshape(size, shape=(-1, 1, 1, 1)) for size in F.split(sizes, num_outputs=2, axis=1))
    rows = F.reshape(F.contrib.arange_like(images, axis=2), shape=(1, 1, -1, 1))
    columns = F.reshape(F.contrib.arange_like(images, axis=3), shape=(1, 1, 1, -1))
    return F.broadcast_mul(F.broadcast_lesser(rows, h), F.broadcast_lesser(columns, w))


def extent(F: Namespace, data: Tensor, axis: int) -> Tensor:
    """Returns the length of an axis of data as an array (1,)."""
    return F.max(F.contrib.arange_like(data, axis=axis), keepdims=True) + 1


def grid_shifts(F: Namespace, features: Tensor, offset: float) -> Tensor:
    """Returns the centres (1, H * W, 4) of the cells of features (B, C, H, W), as x y x y in cells.

    The cells come row by row.

    offset: the position of the centre within its cell, in cells: 0 for the upper left corner
        (torchvision, Detectron2), 0.5 for the middle.
    """
    one = plane(F, features)
    ys = F.reshape(F.contrib.arange_like(one, axis=2), shape=(1, 1, -1, 1))
    xs = F.reshape(F.contrib.arange_like(one, axis=3), shape=(1, 1, 1, -1))
    zeros = F.zeros_like(one)
    y = F.reshape(F.broadcast_add(zeros, ys), shape=(1, -1, 1))
    x = F.reshape(F.broadcast_add(zeros, xs), shape=(1, -1, 1))
    return F.concat(x, y, x, y, dim=2) + offset


def plane(F: Namespace, features: Tensor) -> Tensor:
    """Returns one channel (1, 1, H, W) of features (B, C, H, W), from which H and W can be read.

    It passes no gradient on.

    oneDNN keeps the result of a convolution in a layout of its own. If an operator does not know
    that layout, MXNet copies the whole map for it, even if the operator reads only the sizes. With
    ``plane``, the copy happens once. (F.slice knows the layout, but crashes on narrow maps.)
    """
    channel = F.slice_axis(features, axis=1, begin=0, end=1)
    return F.BlockGrad(F.slice_axis(channel, axis=0, begin=0, end=1))
