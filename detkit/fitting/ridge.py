"""Ridge regression in closed form, in whichever of two forms has the smaller matrix."""

from typing import NamedTuple

import numpy as np


class Linear(NamedTuple):
    """A linear function x -> x weight^T + bias.

    weight: (outputs, d); bias: (outputs,).
    """

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Returns the values (n, outputs) of rows x (n, d)."""
        values: np.ndarray = x @ self.weight.T + self.bias
        return values

    def of_unscaled(self, scale: float) -> "Linear":
        """Returns the function of x whose values are those of this function of x * scale."""
        return Linear(self.weight * scale, self.bias)


def fit_ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> Linear:
    """Returns the Linear that minimises ||y - x w^T - b||^2 + penalty ||w||^2.

    The bias b is not penalised: x and y are centred first. With more columns than rows, the normal
    equations are solved for the coefficients of the rows instead, of which w is then a sum.

    x: (n, d), n at least 1. y: (n, outputs). penalty: above 0; lambda of Girshick et al. 2014,
    appendix C.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    centre, mean = x.mean(axis=0), y.mean(axis=0)
    x, y = x - centre, y - mean
    rows, columns = x.shape
    if columns <= rows:
        weight = np.linalg.solve(x.T @ x + penalty * np.eye(columns), x.T @ y).T
    else:
        weight = (x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(rows), y)).T
    return Linear(weight, mean - weight @ centre)
