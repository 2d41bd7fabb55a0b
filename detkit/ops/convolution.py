"""Convolutions, those of 3x3 with a quarter of the multiplications, and what follows them.

On a CPU, MXNet's convolutions return maps in blocks of channels, and its operators after them are
fast in these blocks alone. detkit's convolutions return plain maps, which its operators read.
"""

import math
from typing import Any, List, Mapping, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from detkit.ops import backend
from detkit.typing import Namespace, Tensor

CONV3X3, CONV1X1, DEPTHWISE = "detkit_conv3x3", "detkit_conv1x1", "detkit_depthwise"
# The arguments of MXNet's Convolution that all of detkit's operators have built in.
BUILT_IN = {"dilate": (1, 1), "layout": "NCHW"}
# The kernels, paddings and strides of each operator.
WINDOWS = {
    CONV3X3: ((3, 3), (1, 1), [(1, 1)]),
    CONV1X1: ((1, 1), (0, 0), [(1, 1), (2, 2)]),
    DEPTHWISE: ((3, 3), (1, 1), [(1, 1), (2, 2)]),
}


def convolution(
    F: Namespace,
    x: Tensor,
    weight: Tensor,
    bias: Optional[Tensor] = None,
    relu: bool = False,
    name: Optional[str] = None,
    most: float = math.inf,
    residual: Optional[Tensor] = None,
    **arguments: Any,
) -> Tensor:
    """Returns a convolution (B, C', H', W') of x (B, C, H, W), with a ReLU after it if asked for.

    On a CPU, 3x3 convolutions of stride 1 with a padding of 1 are computed by Winograd's minimal
    filtering (Lavin and Gray 2016; see native/cpu/winograd.h). Its rounding errors are about twice
    those of MXNet's operator. 1x1 convolutions of stride 1 or 2 without padding, and 3x3
    convolutions of each channel of stride 1 or 2 with a padding of 1, are detkit's, too. MXNet
    computes all the others.

    weight, bias: (C', C, kernel), and (C') or None.
    name: of the operator in a graph.
    most: the upper bound of the ReLU, above 0.
    residual: (B, C', H', W'), which is added before the ReLU; None adds nothing.
    arguments: the keyword arguments of MXNet's Convolution.
    """
    arrays = [x, weight] if bias is None else [x, weight, bias]
    arguments["no_bias"] = bias is None
    own = operator_for(arguments, _shape_of(weight)) if backend.winograd() and _on_cpu(x) else None
    if own is None:
        out = F.Convolution(*arrays, name=name, **arguments)
        return _rectified(F, out if residual is None else out + residual, relu, most)
    return _by_own(F, own, arrays, residual, arguments, relu=relu, most=most, name=name)


def _by_own(
    F: Namespace,
    own: str,
    arrays: List[Tensor],
    residual: Optional[Tensor],
    arguments: Mapping[str, Any],
    **options: Any,
) -> Tensor:
    """Returns the result of detkit's operator ``own``. options: its relu, most and name."""
    options["no_bias"] = arguments["no_bias"]
    if own != CONV3X3:
        options["stride"] = arguments.get("stride", (1, 1))[0]
    if own == CONV1X1:
        arrays = arrays if residual is None else [*arrays, residual]
        return F.detkit_conv1x1(*arrays, residual=residual is not None, **options)
    if residual is None:
        return getattr(F, own)(*arrays, **options)
    out = getattr(F, own)(*arrays, **{**options, "relu": False})
    return _rectified(F, out + residual, options["relu"], options["most"])


def operator_for(arguments: Mapping[str, Any], shape: Sequence[int]) -> Optional[str]:
    """Returns the name of detkit's operator for a convolution, or None if it has none.

    arguments: those of MXNet's Convolution. An absent one has MXNet's default.
    shape: of the weights, (C', C / groups, kernel), as far as it is known.
    """
    if any(arguments.get(key) not in (None, value) for key, value in BUILT_IN.items()):
        return None
    groups = arguments.get("num_group", 1)
    stride, pad = arguments.get("stride", (1, 1)), arguments.get("pad", (0, 0))
    for name, (kernel, padding, strides) in WINDOWS.items():
        fits = arguments["kernel"] == kernel and pad == padding and stride in strides
        if name == DEPTHWISE:
            fits = fits and 1 < groups == arguments["num_filter"] and tuple(shape[1:2]) == (1,)
        else:
            fits = fits and groups == 1
        if fits:
            return name
    return None


def _shape_of(weight: Tensor) -> Tuple[int, ...]:
    """Returns the shape of an array, or that of a symbol as far as its parameters tell it."""
    if isinstance(weight, mx.nd.NDArray):
        return tuple(weight.shape)
    shapes = weight.infer_shape_partial()[1]
    return tuple(shapes[0]) if shapes else ()


def _rectified(F: Namespace, x: Tensor, relu: bool, most: float) -> Tensor:
    """Returns x after a ReLU with an upper bound if it is asked for."""
    if relu and most < math.inf:
        return rectify(F, x, most)
    return F.Activation(x, act_type="relu") if relu else x


def _on_cpu(x: Tensor) -> bool:
    """Returns whether an array is float32 on a CPU. The backend knows the device of symbols."""
    if not isinstance(x, mx.nd.NDArray):
        return True
    return bool(x.context.device_type != "gpu" and x.dtype == np.float32)


def rectify(F: Namespace, x: Tensor, most: float) -> Tensor:
    """Returns min(max(x, 0), most), of any shape.

    The gradient passes where the result lies between 0 and ``most``.
    """
    if backend.winograd() and _on_cpu(x):
        return F.detkit_rectify(x, most=most)
    return F.minimum(F.Activation(x, act_type="relu"), most)


def max_pool(F: Namespace, x: Tensor) -> Tensor:
    """Returns the maximum of each 2x2 cells: (B, C, H // 2, W // 2) of x (B, C, H, W).

    The gradient goes to the first of equal cells.
    """
    if backend.winograd() and _on_cpu(x):
        return F.detkit_max_pool(x)
    return F.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")
