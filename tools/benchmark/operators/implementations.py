"""The implementations of an operator that tools/benchmark_ops.py compares.

They are detkit's library, detkit's fallback, MXNet's operator and torchvision's. Each function
returns {name: Implementation}.
"""

from functools import partial
from typing import Any, Callable, Dict, List

import mxnet as mx
import numpy as np

from detkit.ops import backend

from .timing import Implementation

try:
    import torch
    import torchvision
except ImportError:
    torch = torchvision = None

BACKENDS = {"detkit": "native", "fallback": "mxnet"}
Result = Callable[[Any], List[np.ndarray]]


def numpy_list(arrays: Any) -> List[np.ndarray]:
    """Returns one or several arrays of MXNet or torch as a list of numpy arrays."""
    arrays = arrays if isinstance(arrays, (list, tuple)) else [arrays]
    return [a.asnumpy() if isinstance(a, mx.nd.NDArray) else a.detach().numpy() for a in arrays]


def ours(call: Callable, result: Result = numpy_list) -> Dict[str, Implementation]:
    """Returns call(F) on detkit's library and on its fallback."""
    return {
        name: Implementation(partial(_run, chosen, call), result)
        for name, chosen in BACKENDS.items()
    }


def _run(chosen: str, call: Callable) -> Any:
    with backend.using(chosen):
        return wait(call(mx.nd))


def wait(arrays: Any) -> Any:
    """Returns one or several arrays of MXNet once they are computed."""
    for array in arrays if isinstance(arrays, (list, tuple)) else [arrays]:
        array.wait_to_read()
    return arrays


def mxnet(call: Callable, result: Result = numpy_list) -> Dict[str, Implementation]:
    """Returns call(F) of an operator of MXNet's own."""
    return {"mxnet": Implementation(lambda: wait(call(mx.nd)), result)}


def torchvision_(call: Callable, result: Result = numpy_list) -> Dict[str, Implementation]:
    """Returns call(torch, torchvision), or {} if torchvision cannot be imported."""
    if torchvision is None:
        return {}

    def run() -> Any:
        with torch.no_grad():
            return call(torch, torchvision)

    return {"torchvision": Implementation(run, result)}


def tensor(array: np.ndarray) -> Any:
    """Returns a numpy array as torch's, None without torch."""
    return None if torch is None else torch.from_numpy(array)


def backward(
    features: np.ndarray,
    gradient: np.ndarray,
    call: Callable,
    torch_call: Callable,
    mxnet_call: Callable,
) -> Dict[str, Implementation]:
    """Returns the backward pass of an operator; its forward pass runs once, before.

    The three calls get the features. gradient is the gradient of the operator's output.
    """
    made = {}
    for name, chosen in BACKENDS.items():
        with backend.using(chosen):
            made[name] = _backward_of(features, gradient, call)
    made["mxnet"] = _backward_of(features, gradient, mxnet_call)
    if torch is not None:
        leaf, grad = torch.from_numpy(features).requires_grad_(), torch.from_numpy(gradient)
        out = torch_call(torchvision, leaf)
        made["torchvision"] = Implementation(
            lambda: torch.autograd.grad(out, leaf, grad, retain_graph=True), numpy_list
        )
    return made


def _backward_of(features: np.ndarray, gradient: np.ndarray, call: Callable) -> Implementation:
    leaf, grad = mx.nd.array(features), mx.nd.array(gradient)
    leaf.attach_grad()
    with mx.autograd.record():
        out = call(mx.nd, leaf)
    wait(out)

    def run() -> mx.nd.NDArray:
        out.backward(grad, retain_graph=True)
        return wait(leaf.grad)

    return Implementation(run, numpy_list)
