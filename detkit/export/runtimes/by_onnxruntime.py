"""ONNX Runtime runs an .onnx, on a CPU or an NVIDIA GPU."""

from typing import Any, Dict, List, Mapping, Sequence

import numpy as np
import onnxruntime

from detkit.errors import ExportError
from detkit.export.manifest import AGAIN
from detkit.export.onnx_files import OnnxFile
from detkit.export.onnx_manifest import FLOAT, OnnxManifest, check_names
from detkit.export.runtimes.names import AUTO, CPU, CUDA, TENSORRT
from detkit.threads import allowed

PROVIDERS = {
    CPU: "CPUExecutionProvider",
    CUDA: "CUDAExecutionProvider",
    TENSORRT: "TensorrtExecutionProvider",
}
FLOAT32 = "tensor(float)"  # ONNX Runtime's name of the type
ERRORS_ONLY = 3  # the severity from which ONNX Runtime prints messages


class OnnxRuntimeNetwork:
    """The network of an .onnx in ONNX Runtime; see detkit.export.exported.Network.

    path: of the file, for messages.
    device: "cpu", "cuda", "tensorrt", or "auto": CUDA if ONNX Runtime can use it, or else the CPU.

    Raises ExportError for a model that ONNX Runtime cannot read, and for a device that it lacks.
    """

    def __init__(self, path: str, file: OnnxFile, manifest: OnnxManifest, device: str) -> None:
        self._path = path
        self._session = _session(path, file.data, device)
        used = self._session.get_providers()[0]
        self.device = next((name for name, each in PROVIDERS.items() if each == used), used)
        if device not in (AUTO, self.device):
            raise ExportError(
                f"{path}: device: expected {device!r}, found that ONNX Runtime "
                f"{onnxruntime.__version__} cannot start it here, only {self.device!r}; its "
                "messages above say why"
            )
        names = [output["name"] for output in manifest.outputs]
        check_names(path, "inputs", manifest.inputs, _types(self._session.get_inputs()))
        check_names(path, "outputs", names, _types(self._session.get_outputs()))
        self._outputs = names

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> List[np.ndarray]:
        """Returns the outputs. Raises ExportError if ONNX Runtime cannot run with these inputs."""
        try:
            outputs: List[np.ndarray] = self._session.run(self._outputs, dict(inputs))
        except Exception as error:  # its classes of errors have no base of their own
            raise ExportError(
                f"{self._path}: ONNX Runtime {onnxruntime.__version__} cannot run it with images "
                f"of {inputs['images'].shape}: {_reason(error)}"
            ) from error
        return outputs


def devices() -> List[str]:
    """Returns the devices that this build of ONNX Runtime knows."""
    available = onnxruntime.get_available_providers()
    return [name for name, provider in PROVIDERS.items() if provider in available]


def _session(path: str, data: bytes, device: str) -> Any:
    known = devices()
    if device != AUTO and device not in known:
        raise ExportError(
            f"{path}: device: expected one of auto, {', '.join(known)}, which ONNX Runtime "
            f"{onnxruntime.__version__} has here, found {device!r}; the package onnxruntime-gpu "
            "has cuda and tensorrt"
        )
    wanted = {AUTO: (CUDA, CPU), CPU: (CPU,), CUDA: (CUDA, CPU)}.get(device, (TENSORRT, CUDA, CPU))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = allowed()
    options.log_severity_level = ERRORS_ONLY
    providers = [PROVIDERS[name] for name in wanted if name in known]
    try:
        return onnxruntime.InferenceSession(data, options, providers=providers)
    except Exception as error:  # see above
        raise ExportError(
            f"{path}: expected a model that ONNX Runtime {onnxruntime.__version__} can read, found "
            f"one that it refuses: {_reason(error)}; {AGAIN}"
        ) from error


def _types(found: Sequence[Any]) -> Dict[str, str]:
    """Returns {name: type} of inputs or outputs."""
    return {each.name: FLOAT if each.type == FLOAT32 else each.type for each in found}


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
