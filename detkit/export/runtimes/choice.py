"""Which program runs an exported network, and on which device.

    runtime        reads                     devices
    mxnet          the folder of an export   auto, cpu, gpu
    openvino       an .onnx                  auto, cpu
    onnxruntime    an .onnx                  auto, cpu, cuda, tensorrt

Without a choice, the folder of an export runs on MXNet if it is installed, because all that export
writes is compared with MXNet, and on its model.onnx otherwise. An .onnx runs on OpenVINO if that is
installed: it is the faster of the two on the processors that detkit was measured on (README,
"Ship it"). "tensorrt" means ONNX Runtime, and so does "cuda" for an .onnx. "gpu" and "cuda" are the
same.
"""

import importlib
import importlib.util
import os
from typing import Any, List, Optional

from detkit.errors import ConfigError, ExportError
from detkit.export.exported import ExportedDetector
from detkit.export.manifest import MANIFEST, SYMBOL
from detkit.export.onnx_manifest import KEY, read_onnx_manifest
from detkit.export.runtimes.names import (
    AUTO,
    CPU,
    CUDA,
    DEVICES,
    FOR_ONNX,
    GPU,
    MXNET,
    ONNX,
    ONNXRUNTIME,
    OPENVINO,
    RUNTIMES,
    TENSORRT,
    PathName,
    is_onnx,
)
from detkit.wording import did_you_mean, install


def is_export(folder: PathName) -> bool:
    """Returns whether a folder holds an export, even a damaged one."""
    return any(os.path.isfile(os.path.join(folder, name)) for name in (MANIFEST, SYMBOL))


def is_exported(path: PathName) -> bool:
    """Returns whether a path is that of an .onnx, or of the folder of an export."""
    return is_onnx(path) or is_export(path)


def open_exported(
    path: PathName, device: str = AUTO, runtime: Optional[str] = None
) -> ExportedDetector:
    """Returns the detector of an .onnx, or of the folder of an export.

    device, runtime: see this module; None chooses the runtime.

    Raises ConfigError for an unknown runtime or device, and ExportError for files that are damaged
    or not for this runtime, and for a runtime or a device that this machine does not have.
    """
    path = os.fspath(path)
    if runtime not in (None, *RUNTIMES):
        raise ConfigError(
            f"{path}: runtime: expected one of {', '.join(RUNTIMES)}, found {runtime!r}"
            f"{did_you_mean(runtime, RUNTIMES)}"
        )
    if device not in DEVICES:
        raise ConfigError(
            f"{path}: device: expected one of {', '.join(DEVICES)}, found {device!r}"
            f"{did_you_mean(device, DEVICES)}"
        )
    if is_onnx(path):
        return _of_onnx(path, device, runtime or _for_onnx(path, device))
    beside = os.path.join(path, ONNX)
    if runtime is None and device == TENSORRT:
        runtime = ONNXRUNTIME
    elif runtime is None:
        runtime = MXNET if installed(MXNET) or not os.path.isfile(beside) else None
    if runtime == MXNET:
        return _of_symbol(path, device)
    if not os.path.isfile(beside):
        raise ExportError(
            f"{path}: expected {ONNX} in it for runtime={runtime!r}, found none; export it again "
            "with --onnx"
        )
    return _of_onnx(beside, device, runtime or _for_onnx(beside, device))


def _of_symbol(folder: str, device: str) -> ExportedDetector:
    from detkit.requirements import import_mxnet

    import_mxnet()  # or say what to install
    from detkit.export.runtimes.by_mxnet import load_exported

    return load_exported(folder, GPU if device == CUDA else device)


def _of_onnx(path: str, device: str, runtime: str) -> ExportedDetector:
    if runtime == MXNET:
        raise ExportError(
            f"{path}: runtime: expected {' or '.join(FOR_ONNX)} for an .onnx, found {MXNET!r}; "
            "MXNet reads the folder of an export"
        )
    manifest, file = read_onnx_manifest(path)
    network = _network(path, runtime)(path, file, manifest, CUDA if device == GPU else device)
    place = f"{path}: metadata {KEY!r}"
    return ExportedDetector(network, manifest, runtime, network.device, place, manifest.max_pixels)


def _network(path: str, runtime: str) -> Any:
    """Returns the class of a runtime's networks. Raises ExportError if it cannot be imported."""
    names = {ONNXRUNTIME: "OnnxRuntimeNetwork", OPENVINO: "OpenVINONetwork"}
    try:
        module = importlib.import_module(f"detkit.export.runtimes.by_{runtime}")
    except ImportError as error:
        raise ExportError(
            f"{path}: runtime: expected the package {runtime}, found none that can be imported "
            f"({error}); {install(runtime)}"
        ) from error
    return getattr(module, names[runtime])


def _for_onnx(path: str, device: str) -> str:
    """Returns the runtime of an .onnx. Raises ExportError if none is installed."""
    if device not in (AUTO, CPU):
        return ONNXRUNTIME
    found: List[str] = [name for name in FOR_ONNX if installed(name)]
    if not found:
        raise ExportError(
            f"{path}: expected one of the packages {', '.join(FOR_ONNX)} to run it, found none; "
            f"{install(ONNXRUNTIME)}"
        )
    return found[0]


def installed(name: str) -> bool:
    """Returns whether a package is there, without importing it."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # of a package that something else has hidden
        return False
