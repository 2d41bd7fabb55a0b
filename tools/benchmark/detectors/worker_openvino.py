"""The worker of tools/benchmark.py that runs detkit's ONNX model on OpenVINO."""

import os
from functools import partial
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import openvino

from benchmark.detectors.onnx_arrays import detections_of, inputs_of
from benchmark.detectors.worker import TimedDetector, serve

PRECISIONS = {"fp32": "f32", "bf16": "bf16"}


class OpenVINO(TimedDetector):
    """The ONNX model ``job["model"]`` on OpenVINO's CPU plugin, compiled for the images' size."""

    def __init__(self, job: Dict[str, Any]):
        super().__init__(job)
        self.core = openvino.Core()
        streams = job.get("streams", 1)
        self.options = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[job["precision"]],
            "INFERENCE_NUM_THREADS": streams * int(os.environ["OMP_NUM_THREADS"]),
            **({"PERFORMANCE_HINT": "THROUGHPUT"} if streams > 1 else {"NUM_STREAMS": 1}),
        }

    def about(self) -> Dict[str, str]:
        return {"openvino": openvino.__version__.split("-")[0]}

    def use(self, images: np.ndarray, boxes: np.ndarray, labels: np.ndarray) -> None:
        """Keeps the images, and compiles the model for their shape."""
        self.images = images
        model = self.core.read_model(self.job["model"])
        model.reshape({name: list(array.shape) for name, array in inputs_of(images).items()})
        self.compiled = self.core.compile_model(model, "CPU", self.options)
        self.request = self.compiled.create_infer_request()

    def run(self) -> Any:
        return self.infer(self.request)

    def streams(self) -> List[Callable[[], Any]]:
        """Returns a run for each request that OpenVINO's hint of throughput expects at once.

        OpenVINO chooses the number of its streams itself, at most one for each thread.
        """
        if self.job.get("streams", 1) == 1:
            return [self.run]
        count = self.compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        requests = [self.compiled.create_infer_request() for _ in range(count)]
        return [partial(self.infer, request) for request in requests]

    def infer(self, request: openvino.InferRequest) -> List[np.ndarray]:
        """Returns the outputs of the model; a request has one run at a time."""
        results = request.infer(inputs_of(self.images))
        return [results[output] for output in self.compiled.outputs]

    def detections(self, result: Any) -> List[Tuple[np.ndarray, np.ndarray, np.ndarray]]:
        return detections_of(result)


if __name__ == "__main__":
    serve(OpenVINO)
