"""The worker of tools/benchmark_convs.py that runs OpenVINO's convolutions; it needs no detkit."""

import os
from typing import Any, Dict

import numpy as np
import openvino
from openvino import opset13 as ops

from benchmark.convolutions.worker import Answers, Inputs, TimedChain
from benchmark.detectors.worker import answer


class OpenVINOChain(TimedChain):
    """A model of the convolutions, in float32, compiled for the input's shape."""

    def __init__(self, form: str, inputs: Inputs):
        self.data = inputs.data
        first = out = ops.parameter(self.data.shape, np.float32)
        for weights, bias in inputs.kernels:
            out = ops.convolution(out, ops.constant(weights), [1, 1], [1, 1], [1, 1], [1, 1])
            out = ops.add(out, ops.constant(bias.reshape(1, -1, 1, 1)))
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": int(os.environ["OMP_NUM_THREADS"]),
            "NUM_STREAMS": 1,
        }
        model = openvino.Model([out], [first], "convolutions")
        self.compiled = openvino.Core().compile_model(model, "CPU", options)

    def run(self) -> Any:
        return self.compiled(self.data, share_inputs=True, share_outputs=True)

    def arrays(self, result: Any) -> Dict[str, np.ndarray]:
        return {"output": result[0]}


if __name__ == "__main__":
    answer(Answers(OpenVINOChain, {"openvino": openvino.__version__.split("-")[0]}))
