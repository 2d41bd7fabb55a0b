"""Convolutions, those of 3x3 with a quarter of the multiplications, and what follows them.

On a CPU, MXNet's convolutions return maps in blocks of channels, and its operators after them are
fast in these blocks alone. detkit's convolutions return plain maps, which its operators read.
"""

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
        arrays = [_added_to(F, array) for array in arrays]
        no_bias = arguments["no_bias"]
        return F.detkit_conv3x3(*arrays, no_bias=no_bias, relu=relu, name=name)
    out = F.Convolution(*arrays, name=name, **arguments)
    return F.Activation(out, act_type="relu") if relu else out


def _fits(arguments: Any) -> bool:
    """Returns whether MXNet's arguments ask for what detkit's operator computes."""
    found = {key: arguments.get(key, default) for key, (_, default) in WINOGRAD.items()}
    return all(
        (tuple(found[key]) if isinstance(found[key], list) else found[key]) == value
        for key, (value, _) in WINOGRAD.items()
    )


def _on_cpu(x: Tensor) -> bool:
    """Returns whether an array is float32 on a CPU. The backend knows the device of symbols."""
    if not isinstance(x, mx.nd.NDArray):
        return True
    return bool(x.context.device_type != "gpu" and x.dtype == np.float32)


def _added_to(F: Namespace, array: Tensor) -> Tensor:
    """Returns an array of the same values, to whose gradient others may be added.

    The backward pass of a library's operator overwrites the gradient even if it should be added to
    (grad_req "add"). That of an identity adds. The results of other operators need none: see
    ``backend.SUMS_VARIABLE``.
    """
    if isinstance(array, mx.nd.NDArray):
        is_leaf = autograd.is_recording() and array.grad is not None
    else:
        is_leaf = array.get_children() is None  # an input of the graph or a parameter
    return F.identity(array) if is_leaf else array


def rectify(F: Namespace, x: Tensor, most: float) -> Tensor:
    """Returns min(max(x, 0), most), of any shape.

    The gradient passes where the result lies between 0 and ``most``.
    """
    if backend.winograd() and _on_cpu(x):
        return F.detkit_rectify(_added_to(F, x), most=most)
    return F.minimum(F.Activation(x, act_type="relu"), most)


def max_pool(F: Namespace, x: Tensor) -> Tensor:
    """Returns the maximum of each 2x2 cells: (B, C, H // 2, W // 2) of x (B, C, H, W).

    The gradient goes to the first of equal cells.
    """
    if backend.winograd() and _on_cpu(x):
        return F.detkit_max_pool(_added_to(F, x))
    return F.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")
