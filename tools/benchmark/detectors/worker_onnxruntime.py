"""The worker of tools/benchmark.py that runs detkit's ONNX model on ONNX Runtime."""

import os
from typing import Any, Dict, List, Tuple

import numpy as np
import onnxruntime

from benchmark.detectors.onnx_arrays import detections_of, inputs_of
from benchmark.detectors.worker import TimedDetector, serve


class ONNXRuntime(TimedDetector):
    """The ONNX model ``job["model"]`` on ONNX Runtime's CPU provider."""

    def __init__(self, job: Dict[str, Any]):
        super().__init__(job)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
        self.session = onnxruntime.InferenceSession(
            job["model"], options, providers=["CPUExecutionProvider"]
        )

    def about(self) -> Dict[str, str]:
        return {"onnxruntime": onnxruntime.__version__}

    def use(self, images: np.ndarray, boxes: np.ndarray, labels: np.ndarray) -> None:
        self.images = images

    def run(self) -> Any:
        return self.session.run(None, inputs_of(self.images))

    def detections(self, result: Any) -> List[Tuple[np.ndarray, np.ndarray, np.ndarray]]:
        return detections_of(result)


if __name__ == "__main__":
    serve(ONNXRuntime)
