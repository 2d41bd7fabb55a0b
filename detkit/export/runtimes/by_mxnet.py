"""MXNet runs the symbol of an export."""

import logging
import os
from typing import List, Mapping, Optional, Sequence, Union

import mxnet as mx
import numpy as np

from detkit.device import find_device
from detkit.errors import ExportError
from detkit.export.exported import ExportedDetector
from detkit.export.graph.shapes import NetworkShapes, first_shapes
from detkit.export.manifest import (
    BFLOAT16,
    FLOAT32,
    SYMBOL,
    VNNI,
    Manifest,
    read_manifest,
)
from detkit.export.network_files import CheckedNetwork, read_network, to_ndarray
from detkit.export.runtimes.names import MXNET
from detkit.files.disk import sha256_of
from detkit.ops import backend
from detkit.ops.compile import BuildError
from detkit.processor import describe, has_bfloat16, has_vnni
from detkit.typing import Context

log = logging.getLogger(__name__)

FUSION = "MKLDNN"  # MXNet's name for oneDNN
MXNET_ERRORS = (mx.MXNetError, ValueError, TypeError, IndexError)  # what its operators raise


def load_exported(
    folder: Union[str, "os.PathLike[str]"], device: str = "auto", fuse: bool = False
) -> ExportedDetector:
    """Returns the ExportedDetector of a folder that detkit export wrote.

    device: "auto", "cpu" or "gpu". "auto" is a GPU if MXNet has one and the files can run on it. If
        only the files prevent it, a warning of one line says so.
    fuse: whether to join layers with the operators after them, on a CPU. This saves a few percent
        of the time if all images have one size. If the sizes change, it costs a tenth, because
        oneDNN then prepares the weights again. It needs twice the memory for weights.

    Raises ExportError if the folder is incomplete, damaged or not for this machine.
    """
    folder = os.fspath(folder)
    manifest = read_manifest(folder)
    library = _load_operators(folder, manifest)
    ctx = _find_device(folder, device, manifest, library)
    _check_machine(folder, manifest, ctx, fuse)
    network = SymbolNetwork(load_network(folder, manifest, ctx, fuse), manifest.inputs, ctx)
    return ExportedDetector(network, manifest, MXNET, str(ctx))


class SymbolNetwork:
    """The network of a symbol on a device; see detkit.export.exported.Network."""

    def __init__(self, network: CheckedNetwork, names: Sequence[str], ctx: Context) -> None:
        self._network, self._names, self._ctx = network, names, ctx

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> List[np.ndarray]:
        """Returns the outputs. Raises ExportError if MXNet cannot run with inputs of this size."""
        arrays = (mx.nd.array(inputs[name], ctx=self._ctx) for name in self._names)
        try:
            return [output.asnumpy() for output in self._network(*arrays)]
        except MXNET_ERRORS as error:
            raise ExportError(
                f"{SYMBOL}: MXNet {mx.__version__} cannot run it with images of "
                f"{inputs['images'].shape}: {_reason(error)}"
            ) from error


def load_network(
    folder: str, manifest: Manifest, ctx: Context, fuse: bool = False
) -> CheckedNetwork:
    """Returns the network of a folder, hybridized. Raises ExportError if MXNet cannot read it.

    MXNet plans the memory once for each size of the input. With ``fuse`` and in layers of fewer
    bits, oneDNN also keeps the prepared weights as long as the size stays the same.
    """
    path = os.path.join(folder, SYMBOL)
    text, arrays = read_network(folder, manifest)
    try:
        symbol = mx.sym.load_json(text)
        shapes = NetworkShapes(path, text, arrays)
        shapes.check(first_shapes(manifest.inputs, manifest.pad_multiple))
        if fuse:
            symbol = symbol.optimize_for(FUSION)
        inputs = [mx.sym.var(name, dtype="float32") for name in manifest.inputs]
        network = mx.gluon.SymbolBlock(symbol, inputs)
        parameters = {name: to_ndarray(array) for name, array in arrays.items()}
        network.collect_params().load_dict(parameters, ctx, cast_dtype=True, dtype_source="saved")
    except (*MXNET_ERRORS, AssertionError) as error:
        raise ExportError(
            f"{path}: expected files that MXNet {mx.__version__} can read, found files of MXNet "
            f"{manifest.mxnet}: {_reason(error)}"
        ) from error
    prepared = fuse or manifest.precision != FLOAT32
    network.hybridize(static_alloc=True, static_shape=prepared)
    return CheckedNetwork(network, manifest.inputs, shapes)


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _check_machine(folder: str, manifest: Manifest, ctx: Context, fuse: bool) -> None:
    """Raises ExportError if the machine cannot run the files; warns if it makes them inexact."""
    if fuse and not (ctx.device_type == "cpu" and mx.runtime.Features().is_enabled(FUSION)):
        raise ExportError(
            f"{folder}: fuse=True: expected a CPU and an MXNet built with oneDNN ({FUSION}), found "
            f"{ctx} and MXNet {mx.__version__}; leave it out"
        )
    if manifest.precision == BFLOAT16 and not has_bfloat16():
        raise ExportError(
            f"{folder}: layers in bfloat16: expected a CPU with avx512_bf16, found {describe()}; "
            "export it without --bf16 for this machine"
        )
    if manifest.int8_for == VNNI and not has_vnni():
        log.warning(
            "%s: INT8 for CPUs with VNNI: found %s, on which sums saturate, so that it may detect "
            "less; export it again with --int8-for any",
            folder,
            describe(),
        )


def _find_device(folder: str, name: str, manifest: Manifest, library: Optional[str]) -> Context:
    """Returns the context of ``name``; for "auto", a CPU if the files cannot run on the GPU.

    library: the path of the library whose operators the graph uses, or None.
    """
    ctx = find_device(name)
    if ctx.device_type == "cpu":
        return ctx
    if manifest.precision != FLOAT32:
        reason = f"its layers are {manifest.precision} of oneDNN, which runs on CPUs alone"
        remedy = "export it without --int8 and --bf16"
    elif library is not None and not backend.has_cuda(library):
        reason = f"its operators, {library}, have no CUDA kernels"
        remedy = (
            "export it with --ops mxnet, or on a machine with nvcc on PATH and an MXNet for CUDA"
        )
    else:
        return ctx
    if name == "gpu":
        raise ExportError(
            f"{folder}: device: expected 'cpu' or 'auto', found 'gpu': {reason}; use one of them, "
            f"or {remedy}"
        )
    log.warning("%s: it runs on the CPU instead of the GPU: %s; %s", folder, reason, remedy)
    return mx.cpu()


def _load_operators(folder: str, manifest: Manifest) -> Optional[str]:
    """Returns the path of the library whose operators the graph uses, or None if they are MXNet's.

    The library is that of the folder, unless this process has loaded another one already.
    """
    if manifest.library is None:
        backend.adopt(None)
        return None
    path = os.path.join(folder, manifest.library)
    try:
        used = backend.adopt(path)
    except BuildError as error:
        raise ExportError(
            f"{error}; it was compiled for MXNet {manifest.mxnet}, found MXNet {mx.__version__}: "
            "export with --ops mxnet for other machines"
        ) from error
    if used is not None and sha256_of(used) != manifest.files[manifest.library]:
        log.warning("%s: this process has loaded %s already and uses its operators", path, used)
    return used
