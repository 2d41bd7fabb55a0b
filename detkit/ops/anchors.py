"""The grid of a feature map, made inside the graph for any size of it."""


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
