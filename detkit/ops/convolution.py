"""Convolutions, those of 3x3 with a quarter of the multiplications, and what follows them.

On a CPU, MXNet's convolutions return maps in blocks of channels, and its operators after them are
fast in these blocks alone. detkit's convolutions return plain maps, which its operators read. There
are three kinds; MXNet's operator computes all others:

- 3x3 of stride 1 with a padding of 1, by Winograd's minimal filtering (Lavin and Gray 2016; see
  native/cpu/winograd.h). Its rounding errors are about twice those of a plain sum. oneDNN sums in
  blocks, and its errors are up to eight times smaller.
- 1x1 of stride 1 or 2 without padding, with a sum after it.
- 3x3 of each channel (depthwise), of stride 1 or 2 with a padding of 1.
"""

import math
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet import autograd

from detkit.ops import backend
from detkit.ops.arrays import plane
from detkit.ops.checks import require_positive
from detkit.typing import Namespace, Tensor

CONV3X3, CONV1X1, DEPTHWISE = "detkit_conv3x3", "detkit_conv1x1", "detkit_depthwise"
MULTIPLYING = CONV3X3, CONV1X1  # the operators that can multiply in bfloat16
# What MXNet's Convolution takes for an argument that is absent.
DEFAULTS: Dict[str, Any] = {
    "stride": (1, 1),
    "pad": (0, 0),
    "dilate": (1, 1),
    "num_group": 1,
    "layout": "NCHW",
}
# The kernel, the padding and the strides of each operator.
WINDOWS: Dict[str, Tuple[Tuple[int, int], Tuple[int, int], List[Tuple[int, int]]]] = {
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
    dtype: Any = np.float32,
    most: float = math.inf,
    residual: Optional[Tensor] = None,
    bfloat16: bool = False,
    **arguments: Any,
) -> Tensor:
    """Returns a convolution (B, C', H', W') of x (B, C, H, W), with a ReLU after it if asked for.

    weight, bias: (C', C / groups, kernel), and (C') or None.
    name: of the operator in a graph.
    dtype: of the arrays, which a symbol does not know; MXNet computes all but float32.
    most: the upper bound of the ReLU, above 0.
    residual: (B, C', H', W'), which is added before the ReLU; None adds nothing.
    bfloat16: whether detkit's operators round factors to bfloat16 if the processor multiplies them;
        not for the gradients of the weights.
    arguments: the keyword arguments of MXNet's Convolution.

    Raises ValueError for a group or a stride below 1, by which MXNet would divide.
    """
    positive = {key: arguments.get(key, DEFAULTS[key]) for key in ("num_group", "stride")}
    require_positive("convolution", **positive)
    own = None
    if np.dtype(dtype) == np.float32 and backend.own_convolutions() and _on_cpu(x):
        own = operator_for(arguments, _shape_of(weight))
    arrays = [x, weight] if bias is None else [x, weight, bias]
    options = {"no_bias": bias is None, "name": name}
    if own is None:
        out = F.Convolution(*arrays, **{**arguments, **options})
        return _rectified(F, out if residual is None else out + residual, relu, most)
    options.update(_options_of(own, arguments, bfloat16))
    return _own_convolution(F, own, arrays, residual, relu, most, options)


def _options_of(own: str, arguments: Mapping[str, Any], bfloat16: bool) -> Dict[str, Any]:
    """Returns the arguments of detkit's operator ``own`` that the others do not have."""
    options: Dict[str, Any] = {"bfloat16": bfloat16} if own in MULTIPLYING else {}
    if own != CONV3X3:
        options["stride"] = arguments.get("stride", DEFAULTS["stride"])[0]
    return options


def _own_convolution(
    F: Namespace,
    own: str,
    arrays: List[Tensor],
    residual: Optional[Tensor],
    relu: bool,
    most: float,
    options: Dict[str, Any],
) -> Tensor:
    """Returns the result of detkit's operator ``own`` of x, weight and perhaps bias."""
    operator, arrays = getattr(F, own), [_added_to(F, array) for array in arrays]
    if own == CONV1X1:
        arrays += [] if residual is None else [_added_to(F, residual)]
        options["residual"] = residual is not None
    elif residual is not None:
        out = operator(*arrays, relu=False, most=math.inf, **options)
        return _rectified(F, out + residual, relu, most)
    return operator(*arrays, relu=relu, most=most, **options)


def operator_for(arguments: Mapping[str, Any], shape: Sequence[int]) -> Optional[str]:
    """Returns the name of detkit's operator for a convolution, or None if it has none.

    arguments: those of MXNet's Convolution.
    shape: of the weights, (C', C / groups, kernel), as far as it is known.
    """
    found = {**DEFAULTS, **arguments}
    found = {name: tuple(v) if isinstance(v, list) else v for name, v in found.items()}
    if found["dilate"] != (1, 1) or found["layout"] not in ("NCHW", None):
        return None
    groups, window = found["num_group"], (found["kernel"], found["pad"])
    is_depthwise = 1 < groups == found["num_filter"] and tuple(shape[1:2]) == (1,)
    for name, (kernel, pad, strides) in WINDOWS.items():
        fits = is_depthwise if name == DEPTHWISE else groups == 1
        if fits and window == (kernel, pad) and found["stride"] in strides:
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
    if backend.own_convolutions() and _on_cpu(x):
        return F.detkit_rectify(_added_to(F, x), most=most)
    return F.minimum(F.Activation(x, act_type="relu"), most)


def max_pool(F: Namespace, x: Tensor) -> Tensor:
    """Returns the maximum of each 2x2 cells: (B, C, H // 2, W // 2) of x (B, C, H, W).

    The gradient goes to the first of equal cells.
    """
    if backend.own_convolutions() and _on_cpu(x):
        return F.detkit_max_pool(_added_to(F, x))
    return F.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")


def upsample(F: Namespace, coarse: Tensor, fine: Tensor, scale: int = 2) -> Tensor:
    """Returns (B, C, H, W): each cell of ``coarse`` in ``scale`` rows and columns.

    coarse: (B, C, h, w). fine: (B', C', H, W) with H <= scale h and W <= scale w, of which only
        the size is read; it gets no gradient.
    """
    size = plane(F, fine)
    if scale == 2 and backend.own_convolutions() and _on_cpu(coarse):
        return F.detkit_upsample(_added_to(F, coarse), size)
    repeated = F.UpSampling(coarse, scale=scale, sample_type="nearest")
    return F.slice_like(repeated, size, axes=(2, 3))
