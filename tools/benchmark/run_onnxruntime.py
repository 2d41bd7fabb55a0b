"""The worker of tools/benchmark.py that runs detkit's ONNX model; it needs no detkit.

It leaves masks as they come, M x M for each box: nobody pastes them into the image.
"""

import os

import numpy as np
import onnxruntime
from protocol import Side, serve

PAD = 32


class ONNXRuntime(Side):
    def __init__(self, job):
        super().__init__(job)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
        self.session = onnxruntime.InferenceSession(
            job["model"], options, providers=["CPUExecutionProvider"]
        )

    def about(self):
        return {"onnxruntime": onnxruntime.__version__}

    def use(self, images, boxes, labels):
        self.images = images

    def run(self):
        count, height, width, _ = self.images.shape
        padded = [-(-side // PAD) * PAD for side in (height, width)]
        pixels = np.zeros((count, 3, *padded), "float32")
        pixels[:, :, :height, :width] = self.images.transpose(0, 3, 1, 2)
        sizes = np.tile(np.array([height, width], "float32"), (count, 1))
        return self.session.run(None, {"images": pixels, "sizes": sizes})

    def found(self, result):
        boxes, scores, labels = result[:3]
        return [
            (box[score >= 0], score[score >= 0], label[score >= 0].astype("int32") + 1)
            for box, score, label in zip(boxes, scores, labels)
        ]


if __name__ == "__main__":
    serve(ONNXRuntime)
