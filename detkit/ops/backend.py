"""Chooses the operators of this process: detkit's own library, or those that MXNet comes with.

The two give the same results, and the library is faster.

``state`` is the one global variable of detkit. MXNet registers the operators of a library for the
whole process, and it can neither unload a library nor load a second one with the same operators.
The choice is therefore a property of the process, too: a network calls ``ops.nms`` without knowing
who built it. Whoever owns the process settles the choice, before the first network is built:
``detkit.load``, a training, a tool (``choose``) or ``detkit.load_exported`` (``adopt``). Otherwise
the first call of an operator does, by ``auto``.

The choice has an effect when a graph is made: a block that has been hybridized and run keeps the
operators that it was made of.
"""

import ctypes
import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, NamedTuple, Optional, Union

import mxnet as mx
from mxnet.base import _LIB, OpHandle, c_str, check_call, mx_uint
from mxnet.ndarray.register import _make_ndarray_function as nd_function
from mxnet.operator import get_all_registered_operators
from mxnet.symbol.register import _make_symbol_function as sym_function

from detkit.errors import ConfigError
from detkit.ops.compile import PREBUILT, BuildError, library

log = logging.getLogger(__name__)

NATIVE, MXNET, AUTO = "native", "mxnet", "auto"
VARIABLE = "DETKIT_OPS"
OWN, DIRECT = "own", "direct"
CONVOLUTIONS_VARIABLE = "DETKIT_CONV"
# MXNet adds up as many gradients of an array apart; it lets the operators of more than that add to
# one array, which it does not tell a library: its operators overwrite what is there.
SUMS_VARIABLE, ALWAYS_APART = "MXNET_EXEC_INPLACE_GRAD_SUM_CAP", str(2**31 - 1)
PREFIX = "detkit_"  # of the names of the library's operators
CUDA_SECTION = b".nv_fatbin"  # the ELF section in which nvcc stores the code for GPUs


class Choice(NamedTuple):
    """The operators that are used.

    name: ``native`` or ``mxnet``. reason: the path of the library, or why it is not used.
    """

    name: str
    reason: str


class State:
    """The operators of a process.

    chosen: the Choice, or None as long as nothing was chosen.
    loaded: the path of the library that MXNet has loaded, or None. It stays loaded if the choice
        changes.
    direct: whether all convolutions are MXNet's, as on a GPU and in a graph that is rewritten.
    """

    def __init__(self) -> None:
        self.chosen: Optional[Choice] = None
        self.loaded: Optional[str] = None
        self.direct = False


state = State()


def choose(name: str = AUTO, where: str = "ops", on_gpu: bool = False) -> Choice:
    """Settles the operators and returns the Choice.

    name: ``native``, ``mxnet``, or ``auto``, which is ``native`` if the library can be loaded. The
        environment variable DETKIT_OPS overrides it.
    where: the place of ``name``, for messages.
    on_gpu: whether the network runs on a GPU, so that the library needs CUDA kernels.

    With ``auto``, one warning says why the library cannot be used. Raises ConfigError for another
    name, and for ``native`` if the library cannot be used.
    """
    if os.environ.get(VARIABLE):
        name, where = os.environ[VARIABLE], f"environment variable {VARIABLE}"
    if name not in (NATIVE, MXNET, AUTO):
        raise ConfigError(f"{where}: expected native, mxnet or auto, found {name!r}")
    before = state.chosen
    state.direct = on_gpu
    if name == MXNET:
        state.chosen = Choice(MXNET, f"{where} is mxnet")
        return state.chosen
    try:
        path = _load()
        if on_gpu and not has_cuda(path):
            raise BuildError(
                f"{path}: expected CUDA kernels, found none; they are compiled if nvcc is on PATH "
                "and MXNet is built for CUDA"
            )
        state.chosen = Choice(NATIVE, str(path))
    except BuildError as error:
        if name == NATIVE:
            raise ConfigError(f"{where}: detkit's operators cannot be used: {error}") from error
        state.chosen = Choice(MXNET, str(error))
        if before is None or before.name == NATIVE:
            log.warning(
                "using MXNet's own operators, which are slower: %s (%s=mxnet silences this)",
                error,
                VARIABLE,
            )
    return state.chosen


def adopt(path: Optional[str]) -> Optional[str]:
    """Loads the compiled library ``path``, unless the process has a library already.

    path: None if MXNet's operators are enough. Nothing is compiled then.

    An earlier choice stays. Returns the path of the library that is loaded, which may be an earlier
    one, or None. Raises BuildError if MXNet cannot load it.
    """
    if path is not None and state.loaded is None:
        state.loaded = _load_file(path)
    if state.chosen is None:
        state.chosen = Choice(MXNET if path is None else NATIVE, "those of an exported detector")
    return state.loaded


def native() -> bool:
    """Returns whether detkit's own library is used. An open choice is settled by ``auto``."""
    return (state.chosen or choose()).name == NATIVE


def convolutions() -> str:
    """Returns whose convolutions DETKIT_CONV asks for, ``own`` if it asks for none.

    Raises ConfigError for another value than ``own`` and ``direct``.
    """
    asked = os.environ.get(CONVOLUTIONS_VARIABLE) or OWN
    if asked not in (OWN, DIRECT):
        where = f"environment variable {CONVOLUTIONS_VARIABLE}"
        raise ConfigError(f"{where}: expected {OWN} or {DIRECT}, found {asked!r}")
    return asked


def own_convolutions() -> bool:
    """Returns whether detkit's own operators compute convolutions, see ``ops.convolution``.

    They do if detkit's library is used on a CPU and DETKIT_CONV asks for them. Raises ConfigError
    for a value of DETKIT_CONV that ``convolutions`` refuses.
    """
    return convolutions() == OWN and not state.direct and native()


def has_cuda(path: Union[str, Path]) -> bool:
    """Returns whether the compiled library ``path`` has CUDA kernels.

    The file is examined, because it may come from another machine: whether this machine has nvcc or
    a GPU says nothing about it.
    """
    return CUDA_SECTION in Path(path).read_bytes()


@contextmanager
def using(name: str, direct: bool = False) -> Iterator[None]:
    """Uses the operators ``name``, native or mxnet, until the end of the context.

    direct: whether all convolutions are MXNet's.

    Raises ConfigError if native operators cannot be used.
    """
    before, before_direct = state.chosen, state.direct
    try:
        if name == NATIVE:
            _load()
        state.chosen, state.direct = Choice(name, "chosen for a while"), direct
        yield
    except BuildError as error:
        raise ConfigError(f"detkit's operators cannot be used: {error}") from error
    finally:
        state.chosen, state.direct = before, before_direct


def _load() -> str:
    """Compiles the library if necessary and loads it, once; returns its path."""
    if state.loaded is None:
        path = library()
        try:
            state.loaded = _load_file(path)
        except BuildError as error:
            advice = "set CXX" if path == PREBUILT else "remove the file"
            raise BuildError(f"{error}; {advice} to have it compiled again") from error
    return state.loaded


def _load_file(path: Union[str, Path]) -> str:
    """Loads a library into the process and returns its path."""
    os.environ[SUMS_VARIABLE] = ALWAYS_APART  # MXNet reads it once, before the first gradients
    try:
        check_call(_LIB.MXLoadLib(c_str(os.path.abspath(path)), mx_uint(0)))
    except mx.MXNetError as error:
        lines = [line for line in str(error).splitlines() if "rror" in line or ".so" in line]
        raise BuildError(f"{path}: MXNet cannot load it: {'; '.join(lines)}") from error
    _make_functions()
    return str(path)


def _make_functions() -> None:
    """Makes the functions ``mx.nd.detkit_*`` and ``mx.sym.detkit_*`` of the library's operators.

    ``mx.library.load`` makes those of all operators of MXNet once more, which takes a quarter of a
    second at every start of a process.
    """
    for name in get_all_registered_operators():
        if name.startswith(PREFIX):
            handle = OpHandle()
            check_call(_LIB.NNGetOpHandle(c_str(name), ctypes.byref(handle)))
            for namespace, make in ((mx.nd, nd_function), (mx.sym, sym_function)):
                function = make(handle, name, name)
                for module in (namespace, namespace.op):
                    setattr(module, name, function)
