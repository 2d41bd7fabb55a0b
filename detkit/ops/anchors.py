"""The grid of a feature map, made inside the graph for any size of it."""


def grid_shifts(F, features, offset):
    """Centres (1, H * W, 4) as x y x y, in cells, of the cells of features (B, C, H, W).

    offset is where in its cell the centre lies, in cells: 0 for the upper left corner
    (torchvision, Detectron2), 0.5 for the middle. Rows run along x first.
    """
    plane = F.slice_axis(F.slice_axis(features, axis=0, begin=0, end=1), axis=1, begin=0, end=1)
    plane = F.zeros_like(plane)
    ys = F.reshape(F.contrib.arange_like(features, axis=2), shape=(1, 1, -1, 1))
    xs = F.reshape(F.contrib.arange_like(features, axis=3), shape=(1, 1, 1, -1))
    y = F.reshape(F.broadcast_add(plane, ys), shape=(1, -1, 1))
    x = F.reshape(F.broadcast_add(plane, xs), shape=(1, -1, 1))
    return F.concat(x, y, x, y, dim=2) + offset
