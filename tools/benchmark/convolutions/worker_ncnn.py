"""The worker of tools/benchmark_convs.py that runs ncnn's convolutions; it needs no detkit.

ncnn has no batches: it gets one image after the other.
"""

import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any, Dict

import ncnn
import numpy as np

from benchmark.convolutions.worker import Answers, Inputs, TimedChain
from benchmark.detectors.worker import answer

MAGIC = 7767517  # the first line of a network's description
REDUCED = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage")


class NCNNChain(TimedChain):
    """A network of the convolutions, in float32, with Winograd's filtering or without it."""

    def __init__(self, form: str, inputs: Inputs):
        self.data = inputs.data
        self.net = ncnn.Net()
        self.net.opt.num_threads = int(os.environ["OMP_NUM_THREADS"])
        self.net.opt.use_winograd_convolution = form.endswith("winograd")
        for option in REDUCED:
            setattr(self.net.opt, option, False)
        with tempfile.TemporaryDirectory() as folder:
            description, values = Path(folder, "net.param"), Path(folder, "net.bin")
            description.write_text(description_of(inputs), encoding="ascii")
            with open(values, "wb") as file:
                for weights, bias in inputs.kernels:
                    file.write(b"\0" * 4)  # the mark of weights in float32
                    file.write(weights.tobytes() + bias.tobytes())
            failed = self.net.load_param(str(description)) or self.net.load_model(str(values))
        if failed:
            raise ValueError(f"expected ncnn to load the network, found its error {failed}")

    def run(self) -> Any:
        """Runs the network for one image after the other; returns the outputs."""
        outputs = []
        for image in self.data:
            extractor = self.net.create_extractor()
            extractor.input("0", ncnn.Mat(image))
            failed, output = extractor.extract(self.net.output_names()[0])
            if failed:
                raise ValueError(f"expected ncnn to run the network, found its error {failed}")
            outputs.append(output)
        return outputs

    def arrays(self, result: Any) -> Dict[str, np.ndarray]:
        return {"output": np.stack([np.array(output) for output in result])}


def description_of(inputs: Inputs) -> str:
    """Returns the text of a .param file; the name of each array is its number."""
    count = len(inputs.kernels) + 1
    lines = [str(MAGIC), f"{count} {count}", "Input input 0 1 0"]
    for number, (weights, _) in enumerate(inputs.kernels):
        layer = f"Convolution conv{number} 1 1 {number} {number + 1}"
        # outputs, kernel, padding, whether there is a bias, how many weights there are
        lines.append(f"{layer} 0={len(weights)} 1=3 4=1 5=1 6={weights.size}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    answer(Answers(NCNNChain, {"ncnn": version("ncnn")}))
