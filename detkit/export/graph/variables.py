"""The variables of an exported graph, compared with the inputs and the parameters of the model.

The variables are the inputs, all of them, and the arrays of the parameter file, all of them. A
parameter has the shape and type that its variable has. BatchNorm's moving mean and variance are
auxiliary, and no other parameter is. tools/deploy/variables.cpp checks the same.
"""

from typing import Any, Dict, NamedTuple, NoReturn, Sequence

import numpy as np

from detkit.errors import ExportError
from detkit.files.params import DTYPES

MOST_AXES = 8
PLAIN: Sequence[Dict[str, str]] = ({}, {"__dtype__": "0"})  # attributes of an input, float32


class Variable(NamedTuple):
    """A variable of a graph: its attributes and whether it is auxiliary."""

    attributes: Dict[str, str]
    auxiliary: bool


def refuse(place: str, where: str, expected: str, found: Any) -> NoReturn:
    """Raises the ExportError of one rule. place: the file. where: the place in it."""
    shown = repr(found)
    shown = f"{shown[:100]}..." if len(shown) > 103 else shown
    raise ExportError(
        f"{place}: {where}: expected {expected}, found {shown}; export it again (detkit export)"
    )


def check_variables(
    place: str,
    variables: Dict[str, Variable],
    inputs: Sequence[str],
    arrays: Dict[str, np.ndarray],
) -> None:
    """Raises ExportError unless the variables are the inputs and the parameters.

    place: the path of the symbol file. inputs: the names of the model's inputs. arrays: the content
    of the parameter file, by names with the prefixes "arg:" and "aux:".
    """
    for name in inputs:
        if name not in variables:
            refuse(place, "nodes", f"the variable {name!r} of model.json's inputs", "none")
        if variables[name].auxiliary or variables[name].attributes not in PLAIN:
            expected = "a float32 input without a shape"
            refuse(place, f"the variable {name!r}", expected, variables[name].attributes)
    expected_names = set()
    for name, variable in variables.items():
        if name not in inputs:
            key = f"{'aux' if variable.auxiliary else 'arg'}:{name}"
            expected_names.add(key)
            if key not in arrays:
                refuse(place, f"the variable {name!r}", f"{key!r} in the parameter file", "none")
            _check_parameter(place, name, variable.attributes, arrays[key])
    for key in arrays:
        if key not in expected_names:
            refuse(place, "nodes", f"a variable for the parameter {key!r}", "none")


def _check_parameter(place: str, name: str, attributes: Dict[str, str], array: np.ndarray) -> None:
    (number,) = (number for number, dtype in DTYPES.items() if dtype == array.dtype)
    found = {"__shape__": str(array.shape), "__dtype__": str(number)}
    if attributes != found:
        refuse(place, f"the variable {name!r}", f"{found} of the parameter file", attributes)
    if array.size == 0 or not 1 <= array.ndim <= MOST_AXES:
        expected = f"a parameter of 1 to {MOST_AXES} sides above 0"
        refuse(place, f"the variable {name!r}", expected, array.shape)
