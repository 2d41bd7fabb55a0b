"""Names for the arrays that functions take and return; their shapes are in the docstrings.

MXNet has no type information, so that a type checker accepts anything for each of them. They tell a
reader whether a function works on numbers, on a graph, or on both.
"""

from typing import Any, Sequence, Union

NDArray = Any  # mx.nd.NDArray: numbers on a device
Symbol = Any  # mx.sym.Symbol: a node of a graph
Tensor = Union[NDArray, Symbol]  # what a hybridized function is given: both take the same code
PerLevel = Sequence[Tensor]  # one array for each level of maps, finest first
Namespace = Any  # mx.nd or mx.sym, the argument F of a hybridized function
Context = Any  # mx.Context: a CPU or a GPU
