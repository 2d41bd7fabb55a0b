"""The worker's end of tools/benchmark_convs.py.

A worker may run under another interpreter, which has neither detkit nor MXNet. This module and the
modules that it imports therefore need numpy alone.
"""

import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..memory import reset_peak, resident

ALIGNMENT = 64  # bytes
SAMPLE = 2**21  # values of an array that are compared


class Inputs(NamedTuple):
    """The arrays of a chain of convolutions.

    Attributes:
        data: (B, C, H, W).
        kernels: the weights (C', C, 3, 3) and the bias (C') of each convolution.
        gradient: (B, C', H, W) of the last output; None if only the forward pass is timed.
    """

    data: np.ndarray
    kernels: List[Tuple[np.ndarray, np.ndarray]]
    gradient: Optional[np.ndarray]


class TimedChain:
    """A chain of convolutions in one framework. A worker derives from it.

    form: the name of the side, see sides.py.
    """

    def __init__(self, form: str, inputs: Inputs):
        raise NotImplementedError

    def run(self) -> Any:
        """Does what is timed: the forward pass, and the backward pass if there is a gradient."""
        raise NotImplementedError

    def arrays(self, result: Any) -> Dict[str, np.ndarray]:
        """Returns "output" (B, C', H, W) from the result of run, or the gradients of a training.

        The gradients are "data" (B, C, H, W), and the weights' of the "first" and "last" kernel.
        """
        raise NotImplementedError


class Answers:
    """The requests: each method is one, and its arguments are the request's other keys.

    make: the class of the framework's chains. about: {package: version}.
    """

    def __init__(self, make: Callable[[str, Inputs], TimedChain], about: Dict[str, str]):
        self._make, self._about = make, about
        self._chains: List[TimedChain] = []
        self._before = 0

    def load(
        self, form: str, chains: Sequence[Sequence[Any]], batch: int, training: bool
    ) -> Dict[str, str]:
        """Makes the chains; returns the versions.

        chains: the channels, height and width of each.
        """
        drawn = [inputs_of(*chain, batch, training) for chain in chains]
        self._before = resident("VmRSS")
        self._chains = [self._make(form, inputs) for inputs in drawn]
        return self._about

    def memory(self) -> int:
        """Returns by how many bytes the memory has grown at most since the inputs were drawn.

        It holds the weights in the framework's own form, the outputs, and what the framework works
        in.
        """
        reset_peak()
        self.time()
        return resident("VmHWM") - self._before

    def time(self) -> List[float]:
        """Returns the seconds of each chain in one run of all, one after the other."""
        taken = []
        for chain in self._chains:
            start = time.perf_counter()
            chain.run()
            taken.append(time.perf_counter() - start)
        return taken

    def arrays(self, number: int, path: str) -> None:
        """Writes a sample of the results of one chain to an .npz."""
        chain = self._chains[number]
        found = chain.arrays(chain.run())
        np.savez(path, **{name: sample(array) for name, array in found.items()})


def inputs_of(
    channels: Sequence[int], height: int, width: int, batch: int, training: bool
) -> Inputs:
    """Returns random arrays, the same in every process; each output has the deviation 1."""
    first, last = ((batch, count, height, width) for count in (channels[0], channels[-1]))
    kernels = []
    for number, (before, after) in enumerate(zip(channels, channels[1:])):
        weights = normal(number, after, before, 3, 3)
        weights /= (9 * before) ** 0.5
        kernels.append((weights, normal(number, after)))
    return Inputs(normal(0, *first), kernels, normal(1, *last) if training else None)


def normal(*key: int) -> np.ndarray:
    """Returns normal numbers of the shape ``key[1:]``, float32, aligned like a framework's own."""
    size = int(np.prod(key[1:]))
    room = np.empty(4 * size + ALIGNMENT, "uint8")
    start = -room.ctypes.data % ALIGNMENT
    array = room[start : start + 4 * size].view("float32").reshape(key[1:])
    return np.random.default_rng(key).standard_normal(dtype="float32", out=array)


def sample(array: np.ndarray) -> np.ndarray:
    """Returns about SAMPLE values at equal distances, or all if there are fewer."""
    step = max(1, array.size // SAMPLE) | 1  # odd, so that it meets all columns of even widths
    return np.ascontiguousarray(array).reshape(-1)[::step]
