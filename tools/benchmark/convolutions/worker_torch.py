"""The worker of tools/benchmark_convs.py that runs PyTorch's convolutions; it needs no detkit."""

import os
from typing import Any, Dict

import numpy as np
import torch

from benchmark.convolutions.worker import Answers, Inputs, TimedChain
from benchmark.detectors.worker import answer


class TorchChain(TimedChain):
    """Convolutions whose arrays are contiguous, or in the memory format channels_last."""

    def __init__(self, form: str, inputs: Inputs):
        layers = [torch.nn.Conv2d(w.shape[1], len(w), 3, padding=1) for w, _ in inputs.kernels]
        for layer, (weights, bias) in zip(layers, inputs.kernels):
            layer.load_state_dict(
                {"weight": torch.from_numpy(weights), "bias": torch.from_numpy(bias)}
            )
        last = form.endswith("channels_last")
        self.format = torch.channels_last if last else torch.contiguous_format
        self.layers = torch.nn.Sequential(*layers).to(memory_format=self.format)
        self.data = self.tensor(inputs.data)
        self.gradient = None if inputs.gradient is None else self.tensor(inputs.gradient)
        self.leaves = [self.data.requires_grad_(self.gradient is not None)]
        self.leaves += self.layers.parameters()

    def tensor(self, array: np.ndarray) -> torch.Tensor:
        """Returns a numpy array in the memory format of this chain."""
        return torch.from_numpy(array).contiguous(memory_format=self.format)

    def run(self) -> Any:
        if self.gradient is None:
            with torch.no_grad():
                return [self.layers(self.data)]
        return torch.autograd.grad(self.layers(self.data), self.leaves, self.gradient)

    def arrays(self, result: Any) -> Dict[str, np.ndarray]:
        if self.gradient is None:
            return {"output": result[0].numpy()}
        found = {"data": result[0], "first": result[1], "last": result[-2]}  # before the last bias
        return {name: each.numpy() for name, each in found.items()}


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    answer(Answers(TorchChain, {"torch": torch.__version__}))
