"""The graph and the parameters of an exported folder, read by detkit and not by MXNet."""

import os
from typing import Any, Dict, List, Sequence, Tuple

import mxnet as mx
import numpy as np

from detkit.errors import ExportError, WeightsError
from detkit.export.graph.checked import MOST_BYTES, check_graph
from detkit.export.graph.shapes import NetworkShapes
from detkit.export.graph.variables import check_variables
from detkit.export.manifest import AGAIN, PARAMETERS, SYMBOL, Manifest
from detkit.files.params import read_params
from detkit.typing import NDArray


def read_network(folder: str, manifest: Manifest) -> Tuple[str, Dict[str, np.ndarray]]:
    """Returns the text of a folder's symbol file, and the arrays of its parameter file by name.

    Raises ExportError for files that ``detkit.export.graph.checked`` refuses.
    """
    path = os.path.join(folder, SYMBOL)
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
        arrays = read_params(os.path.join(folder, PARAMETERS))
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror}; {AGAIN}") from error
    except WeightsError as error:
        raise ExportError(f"{error}; {AGAIN}") from error
    native = manifest.library is not None
    variables = check_graph(path, data, len(manifest.outputs), native)
    check_variables(path, variables, manifest.inputs, arrays)
    return data.decode("utf-8"), arrays


class CheckedNetwork:
    """A network of a folder, whose shapes are checked before MXNet runs it.

    network: hybridized. names: those of its inputs. shapes: of the same graph.
    """

    def __init__(
        self, network: mx.gluon.SymbolBlock, names: Sequence[str], shapes: NetworkShapes
    ) -> None:
        self._network, self._names, self._shapes = network, names, shapes

    def __call__(self, *inputs: NDArray) -> List[NDArray]:
        """Returns the outputs. Raises ExportError for inputs of shapes that it cannot take."""
        self._shapes.check({name: array.shape for name, array in zip(self._names, inputs)})
        return self._network(*inputs)


def to_ndarray(array: np.ndarray) -> NDArray:
    """Returns an array of ``read_params`` as an NDArray of the same type in the CPU's memory."""
    dtype: Any = array.dtype
    return mx.nd.array(array, ctx=mx.cpu(), dtype=dtype)
