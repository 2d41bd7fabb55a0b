"""The import that registers every part of detkit; plugins register theirs afterwards."""

from detkit import evaluate, losses, models, runner, targets, train_steps  # noqa: F401
from detkit.data import augment, combined, readers, shapes, tiled_dataset, transforms  # noqa: F401  (the package itself is lazy)
