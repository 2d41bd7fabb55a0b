"""Means and standard deviations by which the targets of a RoI head's boxes are normalised."""

from typing import Sequence, Tuple, Union

import numpy as np
from mxnet.gluon import HybridBlock

from detkit.models.layers import value_of
from detkit.typing import Namespace, Tensor

Four = Tuple[float, float, float, float]  # dx dy dw dh
Rows = Union[Four, Sequence[Four]]


class BoxStatistics(HybridBlock):
    """The normalisation of box targets to mean 0 and variance 1 (Girshick 2015, section 2.3).

    It is applied to the targets after their multiplication by ``box_weights``. The targets of
    training are normalised, and the predictions of testing are restored before they are decoded.
    py-faster-rcnn does the same with TRAIN.BBOX_NORMALIZE_TARGETS, for each class.

    means, stds: the mean and the standard deviation, above 0, of the targets dx dy dw dh of all
        classes together, or a list with one row for each class.

    The attribute ``rows`` is the number of rows, 1 for all classes together.
    """

    def __init__(self, means: Rows, stds: Rows) -> None:
        super().__init__()
        tables = {"means": means, "stds": stds}
        arrays = {name: np.array(rows, "float32").reshape(-1, 4) for name, rows in tables.items()}
        for name, array in arrays.items():
            if not np.isfinite(array).all() or not len(array):
                raise ValueError(f"{name}: expected finite numbers, found {tables[name]}")
        if (arrays["stds"] <= 0).any():
            raise ValueError(f"stds: expected numbers above 0, found {stds}")
        self.rows = len(arrays["means"])
        if len(arrays["stds"]) != self.rows:
            raise ValueError(
                f"stds: expected {self.rows} rows of 4 numbers, as many as of the means, found "
                f"{len(arrays['stds'])}"
            )
        with self.name_scope():
            self.means = self.params.get_constant("means", arrays["means"])
            self.stds = self.params.get_constant("stds", arrays["stds"])

    def normalised(self, F: Namespace, targets: Tensor, classes: Tensor) -> Tensor:
        """Returns the normalised targets (B, N, 4) of classes (B, N).

        A class below 0 takes the row of class 0.
        """
        means, stds = self._rows_of(F, targets, classes)
        return F.broadcast_div(F.broadcast_sub(targets, means), stds)

    def restored(self, F: Namespace, deltas: Tensor, classes: Tensor) -> Tensor:
        """Returns deltas (B, N, 4) of classes (B, N) as they were before they were normalised.

        The axes of deltas and classes broadcast: classes (1, 1, K) restore deltas (B, R, K or 1, 4)
        to (B, R, K, 4).
        """
        means, stds = self._rows_of(F, deltas, classes)
        return F.broadcast_add(F.broadcast_mul(deltas, stds), means)

    def _rows_of(self, F: Namespace, deltas: Tensor, classes: Tensor) -> Sequence[Tensor]:
        """Returns the means and the standard deviations (..., 4) of classes (...)."""
        tables = (value_of(deltas, self.means), value_of(deltas, self.stds))
        return [F.take(table, classes, axis=0, mode="clip") for table in tables]
