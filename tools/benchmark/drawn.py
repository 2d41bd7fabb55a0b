"""Weights and pictures out of nothing, the same in every process: numpy alone."""

import zlib

import numpy as np

# The spread of the last layers' results: scores that differ, boxes that move. Ends of their names
# in torchvision and in GluonCV.
LAST = {
    ("cls_logits.weight", "rpn_head.score.weight"): 0.8,
    ("bbox_pred.weight", "rpn_head.loc.weight", "box_predictor.weight"): 0.3,
    ("cls_score.weight", "class_predictor.weight"): 4.0,
    ("mask_fcn_logits.weight", "mask.mask.weight"): 1.6,
}
NORM_SCALES = 0.4, 0.7  # small enough for the sums of a residual network


def weight(name, shape):
    """float32 values of a parameter; they depend on its name and its shape alone."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return rng.uniform(0.8, 1.2, shape).astype("float32")
    if len(shape) >= 2:
        fan_in = np.prod(shape[1:])
        return (rng.standard_normal(shape, "float32") * _spread(name) / fan_in**0.5).astype("f")
    if name.endswith(("weight", "gamma")):  # of a batch norm
        return rng.uniform(*NORM_SCALES, shape).astype("float32")
    return rng.normal(0, 0.05, shape).astype("float32")


def _spread(name):
    """How far the results of a layer spread for inputs that spread by 1; He et al. 2015 but for the
    last."""
    found = [spread for ends, spread in LAST.items() if name.endswith(ends)]
    return found[0] if found else 2**0.5


def pictures(count, height, width):
    """(count, height, width, 3) uint8: smooth colours, patches of a few sizes on them."""
    rng = np.random.default_rng((count, height, width))
    drawn = np.zeros((count, height, width, 3))
    for cell in (16, 64, 160):
        coarse = rng.uniform(0, 85, (count, height // cell + 2, width // cell + 2, 3))
        drawn += _enlarged(_enlarged(coarse, 1, height, cell), 2, width, cell)
    return np.rint(drawn).astype("uint8")


def _enlarged(array, axis, length, cell):
    """The array, ``length`` long in ``axis``, each cell passing linearly into the next."""
    place = np.arange(length) / cell
    first = place.astype(int)
    share = (place - first).reshape([-1 if axis == n else 1 for n in range(array.ndim)])
    return np.take(array, first, axis) * (1 - share) + np.take(array, first + 1, axis) * share


def objects(count, height, width, each=8, classes=20):
    """Boxes (count, each, 4) and labels (count, each) to train on."""
    rng = np.random.default_rng((count, height, width, each))
    corners = rng.uniform(0, 0.6, (count, each, 2))
    sides = rng.uniform(0.1, 0.4, (count, each, 2))
    boxes = np.concatenate([corners, corners + sides], axis=2) * [width, height, width, height]
    return boxes.astype("float32"), rng.integers(0, classes, (count, each)).astype("float32")
