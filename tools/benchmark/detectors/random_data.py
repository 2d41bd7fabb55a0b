"""Random weights, pictures and objects of tools/benchmark.py, the same in every process.

Workers under other interpreters import this module, so it needs numpy alone.
"""

import zlib
from pathlib import Path
from typing import Tuple

import numpy as np

# The standard deviation of the last layers' results, so that scores differ and boxes move. The keys
# are ends of names in torchvision and in GluonCV.
LAST = {
    ("cls_logits.weight", "rpn_head.score.weight"): 0.8,
    ("bbox_pred.weight", "rpn_head.loc.weight", "box_predictor.weight"): 0.3,
    ("cls_score.weight", "class_predictor.weight"): 4.0,
    ("mask_fcn_logits.weight", "mask.mask.weight"): 1.6,
}
NORM_SCALES = 0.4, 0.7  # small, so that the sums of a residual network stay finite


def weight(name: str, shape: Tuple[int, ...]) -> np.ndarray:
    """Returns float32 values of a parameter, which depend on its name and its shape alone."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return rng.uniform(0.8, 1.2, shape).astype("float32")
    if len(shape) >= 2:
        fan_in = np.prod(shape[1:])
        return (rng.standard_normal(shape, "float32") * _spread(name) / fan_in**0.5).astype("f")
    if name.endswith(("weight", "gamma")):  # the scales of a batch norm
        return rng.uniform(*NORM_SCALES, shape).astype("float32")
    return rng.normal(0, 0.05, shape).astype("float32")


def _spread(name: str) -> float:
    """Returns the standard deviation of a layer's results if its inputs have deviation 1.

    The value of all but the last layers is that of He et al., Delving Deep into Rectifiers (2015),
    section 2.2.
    """
    last = [spread for ends, spread in LAST.items() if name.endswith(ends)]
    return last[0] if last else 2**0.5


def pictures(count: int, height: int, width: int) -> np.ndarray:
    """Returns (count, height, width, 3) uint8: smooth colours under patches of a few sizes."""
    rng = np.random.default_rng((count, height, width))
    drawn = np.zeros((count, height, width, 3))
    for cell in (16, 64, 160):
        coarse = rng.uniform(0, 85, (count, height // cell + 2, width // cell + 2, 3))
        drawn += _enlarged(_enlarged(coarse, 1, height, cell), 2, width, cell)
    return np.rint(drawn).astype("uint8")


def _enlarged(array: np.ndarray, axis: int, length: int, cell: int) -> np.ndarray:
    """Returns the array interpolated linearly to ``length`` in ``axis``, ``cell`` to an entry."""
    place = np.arange(length) / cell
    first = place.astype(int)
    share = (place - first).reshape([-1 if axis == n else 1 for n in range(array.ndim)])
    return np.take(array, first, axis) * (1 - share) + np.take(array, first + 1, axis) * share


def objects(
    count: int, height: int, width: int, per_image: int = 8, classes: int = 20
) -> Tuple[np.ndarray, np.ndarray]:
    """Returns boxes (count, per_image, 4) in pixels and labels (count, per_image) to train on."""
    rng = np.random.default_rng((count, height, width, per_image))
    corners = rng.uniform(0, 0.6, (count, per_image, 2))
    lengths = rng.uniform(0.1, 0.4, (count, per_image, 2))
    boxes = np.concatenate([corners, corners + lengths], axis=2) * [width, height, width, height]
    return boxes.astype("float32"), rng.integers(0, classes, (count, per_image)).astype("float32")


def write_inputs(path: Path, count: int, size: Tuple[int, int]) -> Path:
    """Writes images of a size (height, width) and their objects for worker.Answers.use."""
    boxes, labels = objects(count, *size)
    np.savez(path, images=pictures(count, *size), boxes=boxes, labels=labels)
    return path
