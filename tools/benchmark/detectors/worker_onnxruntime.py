"""The worker of tools/benchmark.py that runs detkit's ONNX model; it needs no detkit.

Its masks stay M x M for each box: ONNX Runtime has no operator that pastes them into the image.
"""

import os
from typing import Any, Dict, List, Tuple

import numpy as np
import onnxruntime

from benchmark.detectors.worker import TimedDetector, serve

PAD = 32  # pixels: both sides of the network's input are multiples


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
        count, height, width, _ = self.images.shape
        padded = [-(-side // PAD) * PAD for side in (height, width)]
        pixels = np.zeros((count, 3, *padded), "float32")
        pixels[:, :, :height, :width] = self.images.transpose(0, 3, 1, 2)
        sizes = np.tile(np.array([height, width], "float32"), (count, 1))
        return self.session.run(None, {"images": pixels, "sizes": sizes})

    def detections(self, result: Any) -> List[Tuple[np.ndarray, np.ndarray, np.ndarray]]:
        boxes, scores, labels = result[:3]
        return [
            (box[score >= 0], score[score >= 0], label[score >= 0].astype("int32") + 1)
            for box, score, label in zip(boxes, scores, labels)
        ]


if __name__ == "__main__":
    serve(ONNXRuntime)
