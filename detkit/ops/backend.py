"""Which operators this process uses: detkit's own library, or those MXNet comes with.

The two give the same results; the library is faster. A library is loaded into a process as a
whole, so this is a choice of the process. It counts when a graph is made: a block that has been
hybridized and run keeps the operators it was made of.
"""

import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Optional

import mxnet as mx

from detkit.errors import ConfigError
from detkit.ops.compile import BuildError, library

log = logging.getLogger(__name__)

NATIVE, MXNET, AUTO = "native", "mxnet", "auto"
VARIABLE = "DETKIT_OPS"
CUDA_SECTION = b".nv_fatbin"  # the ELF section in which nvcc keeps what it compiled for cards


class Choice(NamedTuple):
    """``name``: native or mxnet; ``reason``: why, in words."""

    name: str
    reason: str


_chosen: Optional[Choice] = None
_loaded: Optional[str] = None  # the path of the library: MXNet can load it only once


def choose(name=AUTO, where="ops", on_gpu=False):
    """Settle the operators: ``native``, ``mxnet``, or ``auto``: native where it can be had.

    The environment variable DETKIT_OPS overrides ``name``, which stands at ``where``. Returns the
    Choice. With ``auto``, a machine that cannot have the library gets one warning that says why.

    Raises ConfigError for another name, and where ``native`` cannot be had.
    """
    global _chosen
    if os.environ.get(VARIABLE):
        name, where = os.environ[VARIABLE], f"environment variable {VARIABLE}"
    if name not in (NATIVE, MXNET, AUTO):
        raise ConfigError(f"{where}: expected native, mxnet or auto, found {name!r}")
    if name == MXNET:
        _chosen = Choice(MXNET, f"{where} asks for them")
        return _chosen
    try:
        path = _load()
        if on_gpu and not has_cuda(path):
            raise BuildError(
                f"{path} has no CUDA kernels; a library has them if nvcc is on PATH and MXNet is "
                "built for CUDA when it is compiled"
            )
        _chosen = Choice(NATIVE, str(path))
    except BuildError as error:
        if name == NATIVE:
            raise ConfigError(f"{where}: detkit's operators cannot be used: {error}") from error
        if _chosen is None or _chosen.name == NATIVE:
            log.warning(
                "using MXNet's own operators, which are slower: %s (%s=mxnet silences this)",
                error,
                VARIABLE,
            )
        _chosen = Choice(MXNET, str(error))
    return _chosen


def adopt(path):
    """Use the operators of the compiled library ``path``, if this process has none yet.

    path: None where MXNet's own are enough; then none are compiled for want of a choice.

    Returns the path of the library in use, which may be an earlier one, or None. Raises BuildError
    where MXNet cannot load it.
    """
    global _loaded, _chosen
    if path is not None and _loaded is None:
        _loaded = _load_file(path)
    name = MXNET if path is None else NATIVE
    _chosen = _chosen or Choice(name, "an exported detector's")
    return _loaded


def native():
    """Whether detkit's own library is in use; settles it by ``auto`` if nobody has chosen."""
    return (_chosen or choose()).name == NATIVE


def has_cuda(path):
    """Whether the compiled library ``path`` holds CUDA kernels, for an MXNet that runs on a GPU.

    Neither this machine's nvcc nor its GPU says so: a library may come from another machine.
    """
    return CUDA_SECTION in Path(path).read_bytes()


@contextmanager
def using(name):
    """For a while, the operators ``name``, native or mxnet, whatever was chosen before.

    Raises ConfigError where native cannot be had.
    """
    global _chosen
    before = _chosen
    try:
        if name == NATIVE:
            _load()
        _chosen = Choice(name, "asked for")
        yield
    except BuildError as error:
        raise ConfigError(f"detkit's operators cannot be used: {error}") from error
    finally:
        _chosen = before


def _load():
    global _loaded
    if _loaded is None:
        path = library()
        try:
            _loaded = _load_file(path)
        except BuildError as error:
            raise BuildError(f"{error}; remove the file to have it compiled again") from error
    return _loaded


def _load_file(path):
    """Load a library into the process; its path."""
    try:
        mx.library.load(os.path.abspath(path), verbose=False)
    except mx.MXNetError as error:
        lines = [line for line in str(error).splitlines() if "rror" in line or ".so" in line]
        raise BuildError(f"MXNet cannot load {path}: {'; '.join(lines)}") from error
    return str(path)
