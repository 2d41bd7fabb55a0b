"""The same operator of detkit, of its fallback, of MXNet and of torchvision, as timing.Side."""

import mxnet as mx
from timing import Side

from detkit.ops import backend

try:
    import torch
    import torchvision
except ImportError:
    torch = torchvision = None

BACKENDS = {"detkit": "native", "fallback": "mxnet"}


def numpy_list(arrays):
    """Arrays of MXNet or torch, one or several, as numpy."""
    arrays = arrays if isinstance(arrays, (list, tuple)) else [arrays]
    return [a.asnumpy() if isinstance(a, mx.nd.NDArray) else a.detach().numpy() for a in arrays]


def ours(call, result=numpy_list):
    """call(F) on the library and on the fallback."""
    sides = {}
    for name, chosen in BACKENDS.items():
        sides[name] = Side(lambda chosen=chosen: _run(chosen, call), result)
    return sides


def _run(chosen, call):
    with backend.using(chosen):
        return wait(call(mx.nd))


def wait(arrays):
    for array in arrays if isinstance(arrays, (list, tuple)) else [arrays]:
        array.wait_to_read()
    return arrays


def mxnet(call, result=numpy_list):
    """An operator of MXNet's own."""
    return {"mxnet": Side(lambda: wait(call(mx.nd)), result)}


def torchvision_(call, result=numpy_list):
    """call(torch, torchvision), where torchvision can be imported."""
    if torchvision is None:
        return {}

    def run():
        with torch.no_grad():
            return call(torch, torchvision)

    return {"torchvision": Side(run, result)}


def tensor(array):
    """A numpy array as torch's, None without torch."""
    return None if torch is None else torch.from_numpy(array)


def backward(features, gradient, call, torch_call, mxnet_call):
    """The backward of an operator of features alone; its forward runs once, before.

    features and gradient, of what it returns, are numpy; the three calls get the features.
    """
    sides = {}
    for name, chosen in BACKENDS.items():
        with backend.using(chosen):
            sides[name] = _backward_of(features, gradient, call)
    sides["mxnet"] = _backward_of(features, gradient, mxnet_call)
    if torch is not None:
        leaf, grad = torch.from_numpy(features).requires_grad_(), torch.from_numpy(gradient)
        out = torch_call(torchvision, leaf)
        sides["torchvision"] = Side(
            lambda: torch.autograd.grad(out, leaf, grad, retain_graph=True), numpy_list
        )
    return sides


def _backward_of(features, gradient, call):
    leaf, grad = mx.nd.array(features), mx.nd.array(gradient)
    leaf.attach_grad()
    with mx.autograd.record():
        out = call(mx.nd, leaf)
    wait(out)

    def run():
        out.backward(grad, retain_graph=True)
        return wait(leaf.grad)

    return Side(run, numpy_list)
