"""A file of weights of any kind that is known."""

from pathlib import Path
from typing import Dict, Union

import numpy as np

from detkit.weights.params import is_params, read_params
from detkit.weights.pkl import read_pkl
from detkit.weights.pth import read_pth


def read_weights(path: Union[str, Path]) -> Dict[str, np.ndarray]:
    """The arrays of a file, by name: MXNet's, which is known by how it begins, a .pkl or a .pth.

    Raises WeightsError, with the path and what was found, where it is not such a file.
    """
    if is_params(path) or Path(path).suffix == ".params":
        return read_params(path)
    return read_pkl(path) if Path(path).suffix == ".pkl" else read_pth(path)
