"""OpenVINO runs an .onnx on a CPU."""

import contextlib
import sys
from typing import Any, Dict, Iterator, List, Mapping, Sequence

import numpy as np

from detkit.errors import ExportError
from detkit.export.manifest import AGAIN
from detkit.export.onnx_files import OnnxFile
from detkit.export.onnx_manifest import FLOAT, OnnxManifest, check_names
from detkit.export.runtimes.names import AUTO, CPU
from detkit.threads import allowed


@contextlib.contextmanager
def _absent(name: str) -> Iterator[None]:
    """Lets a package be one that is not installed, for as long as this context lasts."""
    modules: Dict[str, Any] = sys.modules
    before = {name: modules[name]} if name in modules else {}
    modules[name] = None
    try:
        yield
    finally:
        del modules[name]
        modules.update(before)


# This package reports each import of OpenVINO over the network, in a process of multiprocessing. On
# Python 3.14, the start of such a process runs the program's main file again, and a program would
# detect twice. OpenVINO runs without the package.
with _absent("openvino_telemetry"):
    import openvino

FLOAT32 = "f32"  # OpenVINO's name of the type
VERSION = openvino.__version__.split("-")[0]


class OpenVINONetwork:
    """The network of an .onnx in OpenVINO; see detkit.export.exported.Network.

    path: of the file, for messages.
    device: "cpu" or "auto", which means the same.

    Layers calculate in float32. By default OpenVINO takes bfloat16 on the processors that have it.

    Raises ExportError for a model that OpenVINO cannot read, and for another device.
    """

    device = CPU

    def __init__(self, path: str, file: OnnxFile, manifest: OnnxManifest, device: str) -> None:
        if device not in (AUTO, CPU):
            raise ExportError(
                f"{path}: device: expected auto or cpu, which OpenVINO has in detkit, found "
                f"{device!r}; runtime='onnxruntime' has cuda and tensorrt"
            )
        self._path = path
        self._outputs = [output["name"] for output in manifest.outputs]
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": allowed(),
            "NUM_STREAMS": 1,
        }
        try:
            core = openvino.Core()
            model = core.read_model(file.data, b"")
            check_names(path, "inputs", manifest.inputs, _types(manifest.inputs, model.inputs))
            check_names(path, "outputs", self._outputs, _types(self._outputs, model.outputs))
            self._network = core.compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise ExportError(
                f"{path}: expected a model that OpenVINO {VERSION} can read, found one that it "
                f"refuses: {_reason(error)}; {AGAIN}"
            ) from error

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> List[np.ndarray]:
        """Returns the outputs. Raises ExportError if OpenVINO cannot run with these inputs."""
        try:
            results = self._network(dict(inputs))
            return [np.array(results[name]) for name in self._outputs]
        except RuntimeError as error:
            raise ExportError(
                f"{self._path}: OpenVINO {VERSION} cannot run it with images of "
                f"{inputs['images'].shape}: {_reason(error)}"
            ) from error


def _types(expected: Sequence[str], found: Any) -> Dict[str, str]:
    """Returns {name: type} of inputs or outputs, by the expected one of an array's names."""
    types = {}
    for each in found:
        known = [name for name in expected if name in each.names] or [each.any_name]
        kind = each.get_element_type().get_type_name()
        types[known[0]] = FLOAT if kind == FLOAT32 else kind
    return types


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
