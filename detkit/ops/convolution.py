"""Convolutions: those of 3x3 and stride 1 with a quarter of the multiplications."""

from typing import Any, Optional

import mxnet as mx
import numpy as np
from mxnet import autograd

from detkit.ops import backend
from detkit.typing import Namespace, Tensor

# The arguments of MXNet's Convolution that detkit's operator has built in, and MXNet's defaults.
WINOGRAD = {
    "kernel": ((3, 3), None),
    "stride": ((1, 1), (1, 1)),
    "dilate": ((1, 1), (1, 1)),
    "pad": ((1, 1), (0, 0)),
    "num_group": (1, 1),
    "layout": ("NCHW", "NCHW"),
}


def convolution(
    F: Namespace,
    x: Tensor,
    weight: Tensor,
    bias: Optional[Tensor] = None,
    relu: bool = False,
    name: Optional[str] = None,
    dtype: Any = np.float32,
    **arguments: Any,
) -> Tensor:
    """Returns a convolution (B, C', H', W') of x (B, C, H, W), with a ReLU after it if asked for.

    On a CPU, 3x3 convolutions of stride 1 with a padding of 1 are computed by Winograd's minimal
    filtering (Lavin and Gray 2016; see native/cpu/winograd.h). Its rounding errors are about twice
    those of a plain sum. MXNet's operator computes all the others. oneDNN sums in blocks, and its
    errors are up to eight times smaller.

    weight, bias: (C', C, kernel), and (C') or None.
    name: of the operator in a graph.
    dtype: the type of the arrays, which a symbol does not know. MXNet's operator computes all types
        but float32.
    arguments: the keyword arguments of MXNet's Convolution.
    """
    arrays = [x, weight] if bias is None else [x, weight, bias]
    arguments = {**arguments, "no_bias": bias is None}
    if _fits(arguments) and np.dtype(dtype) == np.float32 and backend.winograd() and _on_cpu(x):
        arrays = [F.identity(array) if _is_leaf(array) else array for array in arrays]
        no_bias = arguments["no_bias"]
        return F.detkit_conv3x3(*arrays, no_bias=no_bias, relu=relu, name=name)
    out = F.Convolution(*arrays, name=name, **arguments)
    return F.Activation(out, act_type="relu") if relu else out


def _fits(arguments: Any) -> bool:
    """Returns whether MXNet's arguments ask for what detkit's operator computes."""
    return all(arguments.get(key, default) == value for key, (value, default) in WINOGRAD.items())


def _on_cpu(x: Tensor) -> bool:
    """Returns whether an array is float32 on a CPU; the backend knows the device of a symbol."""
    if not isinstance(x, mx.nd.NDArray):
        return True
    return bool(x.context.device_type != "gpu" and x.dtype == np.float32)


def _is_leaf(array: Tensor) -> bool:
    """Returns whether gradients may have to be added to those that the array has already.

    The backward pass of a library's operator overwrites the gradient even if it should be added to
    (grad_req "add"). That of an identity adds. The results of other operators need none: see
    ``backend.SUMS_VARIABLE``.
    """
    if isinstance(array, mx.nd.NDArray):
        return autograd.is_recording() and array.grad is not None
    return array.get_children() is None  # an input of the graph or a parameter
