"""A file of weights -> arrays by name -> the parameters of a Gluon block."""

from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Union

import mxnet as mx
import numpy as np
from mxnet import gluon

from detkit.errors import WeightsError
from detkit.naming import torch_name
from detkit.weights.params import is_params, read_params
from detkit.weights.pkl import read_pkl
from detkit.weights.pth import read_pth
from detkit.wording import the_nearest

SHOWN = 10  # names listed in one message; the rest are counted


def read_weights(path: Union[str, Path]) -> Dict[str, np.ndarray]:
    """The arrays of a file, by name: MXNet's, which is known by how it begins, a .pkl or a .pth.

    Raises WeightsError, with the path and what was found, where it is not such a file.
    """
    if is_params(path) or Path(path).suffix == ".params":
        return read_params(path)
    return read_pkl(path) if Path(path).suffix == ".pkl" else read_pth(path)


def load_weights(
    block: gluon.Block,
    state: Mapping[str, np.ndarray],
    names: Optional[Mapping[str, str]] = None,
    allow_unused: bool = True,
) -> List[str]:
    """Put a file's arrays into every parameter of `block` but its constants, by structural names.

    state: name -> array, as from `read_pth`; converted to each parameter's dtype.
    names: {our name: the file's name} where `torch_name` does not say it.
    The parameters may be initialised, deferred or neither, trained or frozen. All are checked
    before the first one is changed.

    Returns the names in `state` that no parameter took, sorted, without torch's
    num_batches_tracked. Raises WeightsError, listing every culprit, for parameters missing in
    `state`, shapes that differ, values that are not finite and, unless `allow_unused`, names left.
    """
    parameters = {
        name: parameter
        for name, parameter in block._collect_params_with_prefix().items()
        if not isinstance(parameter, gluon.Constant)
    }
    names = dict(names or {})
    strangers = [name for name in sorted(names) if name not in parameters]
    _refuse("named by `names` that the network does not have", strangers, parameters)
    theirs = {ours: names.get(ours, torch_name(ours)) for ours in parameters}

    missing = [name for name in theirs.values() if name not in state]
    _refuse("missing in the file", missing, state)
    _refuse("of another shape", _misshapen(parameters, state, theirs))
    _refuse("with values that are not finite", _broken(state, theirs.values()))
    taken = set(theirs.values())
    unused = sorted(n for n in state if n not in taken and not n.endswith("num_batches_tracked"))
    if not allow_unused:
        _refuse("in the file that the network does not have", [repr(n) for n in unused])

    for ours, parameter in parameters.items():
        _set(parameter, state[theirs[ours]])
    return unused


def _set(parameter: gluon.Parameter, array: np.ndarray) -> None:
    """Give the parameter its shape and values, whatever state it is in."""
    parameter.shape = array.shape
    data = mx.nd.array(array, dtype=parameter.dtype, ctx=mx.cpu())
    try:
        parameter.list_data()
    except (RuntimeError, gluon.parameter.DeferredInitializationError):
        contexts = _contexts(parameter)
        parameter.initialize(init=mx.init.Constant(data), ctx=contexts)
    else:
        parameter.set_data(data)


def _contexts(parameter: gluon.Parameter) -> Optional[List[mx.Context]]:
    """Where a deferred parameter was to live; None, MXNet's default, for an untouched one."""
    try:
        return parameter.list_ctx()
    except RuntimeError:
        return None


def _misshapen(parameters, state, theirs: Dict[str, str]) -> List[str]:
    wrong = []
    for ours, parameter in parameters.items():
        found = state[theirs[ours]].shape
        expected = parameter.shape  # 0 where it waits for the first input
        fits = expected is None or (
            len(found) == len(expected) and all(e in (0, f) for e, f in zip(expected, found))
        )
        if not fits:
            wrong.append(f"{theirs[ours]!r}: {found} in the file, {expected} in the network")
    return wrong


def _broken(state, names) -> List[str]:
    return [
        repr(name)
        for name in names
        if state[name].dtype.kind == "f" and not np.isfinite(state[name]).all()
    ]


def _refuse(what: str, culprits: Sequence[str], known=None) -> None:
    """WeightsError if there are any; where names are ``known``, each with the nearest of them."""
    if culprits:
        more = len(culprits) - SHOWN
        shown = [
            name if known is None else f"{name!r}{the_nearest(name, known)}"
            for name in culprits[:SHOWN]
        ]
        lines = [*shown, *([f"... and {more} more"] if more > 0 else [])]
        raise WeightsError(f"weights {what} ({len(culprits)}):\n  " + "\n  ".join(lines))
