"""Loads a file of weights as arrays by name, and these into the parameters of a Gluon block."""

from pathlib import Path
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Union

import mxnet as mx
import numpy as np
from mxnet import gluon

from detkit.errors import WeightsError
from detkit.files.params import is_params, read_params
from detkit.naming import torch_name
from detkit.typing import Context
from detkit.weights.pkl import read_pkl
from detkit.weights.pth import read_pth
from detkit.weights.safetensors import read_safetensors
from detkit.wording import the_nearest

LISTED = 10  # names in one message; the others are counted


def read_weights(path: Union[str, Path]) -> Dict[str, np.ndarray]:
    """Returns the arrays of a file by name.

    path: a .safetensors; MXNet's format, which is recognised by its first bytes or by .params; a
        .pkl; otherwise a file of torch.save.

    Raises WeightsError, with the path, for a file of another format.
    """
    suffix = Path(path).suffix
    # Before MXNet's format, which begins as a .safetensors whose header has 274 bytes does.
    if suffix == ".safetensors":
        return read_safetensors(path)
    if is_params(path) or suffix == ".params":
        return read_params(path)
    return read_pkl(path) if suffix == ".pkl" else read_pth(path)


def load_weights(
    block: gluon.Block,
    state: Mapping[str, np.ndarray],
    names: Optional[Mapping[str, str]] = None,
    allow_unused: bool = True,
) -> List[str]:
    """Loads arrays into every parameter of `block`, except its constants, by structural names.

    state: {name: array}, as `read_pth` returns it; each array is cast to its parameter's dtype.
    names: {parameter's name: name in `state`} of the parameters whose name in `state` is not their
        `torch_name`.
    allow_unused: whether `state` may hold arrays that no parameter takes.

    The parameters may be initialised, deferred or neither, trained or frozen. All are checked
    before the first one is changed.

    Returns the sorted names in `state` that no parameter took, without torch's num_batches_tracked.
    Raises WeightsError, which lists the names, for parameters missing in `state`, for shapes that
    differ, for values that are not finite and, unless `allow_unused`, for unused names.
    """
    parameters = {
        name: parameter
        for name, parameter in block._collect_params_with_prefix().items()
        if not isinstance(parameter, gluon.Constant)
    }
    names = dict(names or {})
    theirs = {ours: names.get(ours, torch_name(ours)) for ours in parameters}
    unknown = [name for name in sorted(names) if name not in parameters]
    _refuse("names: expected the names of parameters, {} are not", unknown, parameters)
    _check(parameters, state, theirs)
    taken = set(theirs.values())
    unused = sorted(n for n in state if n not in taken and not n.endswith("num_batches_tracked"))
    if not allow_unused:
        superfluous = [repr(name) for name in unused]
        _refuse("expected weights of the network alone, found {} more in the file", superfluous)

    for ours, parameter in parameters.items():
        _set(parameter, state[theirs[ours]])
    return unused


def _check(
    parameters: Mapping[str, gluon.Parameter],
    state: Mapping[str, np.ndarray],
    theirs: Mapping[str, str],
) -> None:
    """Raises WeightsError for arrays that are missing, of another shape or not finite.

    theirs: {parameter's name: name in `state`}.
    """
    missing = [name for name in theirs.values() if name not in state]
    _refuse("expected weights of every parameter, missing in the file: {}", missing, state)
    wrong = _wrong_shapes(parameters, state, theirs)
    _refuse("expected the shapes of the network, found {} other", wrong)
    _refuse("expected finite weights, found {} that are not", _not_finite(state, theirs.values()))


def _set(parameter: gluon.Parameter, array: np.ndarray) -> None:
    """Sets the shape and the values of a parameter in any state."""
    parameter.shape = array.shape
    data = mx.nd.array(array, dtype=parameter.dtype, ctx=mx.cpu())
    try:
        parameter.list_data()
    except (RuntimeError, gluon.parameter.DeferredInitializationError):
        contexts = _contexts(parameter)
        parameter.initialize(init=mx.init.Constant(data), ctx=contexts)
    else:
        parameter.set_data(data)


def _contexts(parameter: gluon.Parameter) -> Optional[List[Context]]:
    """Returns the contexts of a deferred parameter; None, MXNet's default, if it has none yet."""
    try:
        contexts: List[Context] = parameter.list_ctx()
        return contexts
    except RuntimeError:
        return None


def _wrong_shapes(
    parameters: Mapping[str, gluon.Parameter],
    state: Mapping[str, np.ndarray],
    theirs: Mapping[str, str],
) -> List[str]:
    """Returns a line about each parameter whose array in the file has another shape."""
    lines = []
    for ours, parameter in parameters.items():
        found = state[theirs[ours]].shape
        expected = parameter.shape  # a 0 is an axis that waits for the first input
        fits = expected is None or (
            len(found) == len(expected) and all(e in (0, f) for e, f in zip(expected, found))
        )
        if not fits:
            lines.append(f"{theirs[ours]!r}: expected {expected}, found {found}")
    return lines


def _not_finite(state: Mapping[str, np.ndarray], names: Iterable[str]) -> List[str]:
    return [
        repr(name)
        for name in names
        if state[name].dtype.kind == "f" and not np.isfinite(state[name]).all()
    ]


def _refuse(message: str, culprits: Sequence[str], known: Optional[Iterable[str]] = None) -> None:
    """Raises WeightsError if there are any culprits.

    message: its first line, with braces for the number of culprits.
    known: names, the nearest of which is offered for each culprit; None if the culprits are lines.
    """
    if culprits:
        more = len(culprits) - LISTED
        listed = [
            name if known is None else f"{name!r}{the_nearest(name, known)}"
            for name in culprits[:LISTED]
        ]
        lines = [*listed, *([f"... and {more} more"] if more > 0 else [])]
        raise WeightsError("\n  ".join([f"{message.format(len(culprits))}:", *lines]))
