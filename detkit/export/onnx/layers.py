"""Translators of layers: convolutions, pooling, normalisation, activations."""

from typing import Any, Dict, Optional

import numpy as np

from detkit.export.onnx.builder import Builder
from detkit.export.onnx.translate import Call, translates

ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus"}
POOLS = {"max": "MaxPool", "avg": "AveragePool"}
GLOBAL_POOLS = {"max": "GlobalMaxPool", "avg": "GlobalAveragePool"}


@translates("Convolution")
def convolution(b: Builder, call: Call, x: str, weight: str, bias: Optional[str] = None) -> str:
    return b("Conv", x, weight, bias, group=call.integer("num_group", 1), **_windows(call))


@translates("Deconvolution")
def deconvolution(b: Builder, call: Call, x: str, weight: str, bias: Optional[str] = None) -> str:
    """Adds a ConvTranspose, whose output_padding is MXNet's ``adj``."""
    shaped = call.numbers("target_shape", None)
    call.require(not any(shaped), "target_shape", "use adj (output padding) instead")
    windows = _windows(call)
    added = call.numbers("adj") or [0] * len(windows["kernel_shape"])
    group = call.integer("num_group", 1)
    return b("ConvTranspose", x, weight, bias, group=group, output_padding=added, **windows)


@translates("FullyConnected")
def fully_connected(b: Builder, call: Call, x: str, weight: str, bias: Optional[str] = None) -> str:
    if call.flag("flatten", True):
        rows = x if call.ranks[0] == 2 else b("Flatten", x, axis=1)
        return b("Gemm", rows, weight, bias, transB=1)
    product = b("MatMul", x, b("Transpose", weight, perm=[1, 0]))
    return product if bias is None else b("Add", product, bias)


@translates("Pooling")
def pooling(b: Builder, call: Call, x: str) -> str:
    """Adds a MaxPool or an AveragePool, over windows or over whole maps."""
    kind = call.text("pool_type", "max")
    call.require(kind in POOLS, f"pool_type {kind}", "use max or avg")
    if call.flag("global_pool", False):
        return b(GLOBAL_POOLS[kind], x)
    convention = call.text("pooling_convention", "valid")
    known = ("valid", "full")
    call.require(convention in known, f"pooling_convention {convention}", "use valid or full")
    windows = _windows(call, dilated=False)
    padded = any(windows["pads"])
    if convention == "full":
        sizes = zip(windows["kernel_shape"], windows["strides"], windows["pads"])
        # Otherwise MXNet has a last window that lies within the padding, and ONNX has none.
        inside = all(kernel >= stride + pad for kernel, stride, pad in sizes)
        counted = kind == "avg" and padded
        call.require(
            inside and not counted,
            'pooling_convention "full" of such a window',
            'use pooling_convention "valid"',
        )
        windows["ceil_mode"] = 1
    if kind == "avg":
        windows["count_include_pad"] = int(padded and call.flag("count_include_pad", True))
    return b(POOLS[kind], x, **windows)


@translates("_contrib_AdaptiveAvgPooling2D")
def adaptive_pooling(b: Builder, call: Call, x: str) -> str:
    size = call.numbers("output_size", None)
    call.require(set(size) <= {1}, f"output_size {size}", "use 1")
    return b("GlobalAveragePool", x)


@translates("BatchNorm")
def batch_norm(
    b: Builder, call: Call, x: str, gamma: str, beta: str, mean: str, variance: str
) -> str:
    """Adds a BatchNormalization by the running statistics; a scale that MXNet fixes is 1."""
    axis = call.integer("axis", 1)
    call.require(axis == 1, f"axis {axis}", "use 1")
    if call.flag("fix_gamma", True):
        gamma = b("Add", b("Mul", gamma, 0.0), 1.0)
    return b("BatchNormalization", x, gamma, beta, mean, variance, epsilon=call.real("eps", 1e-3))


@translates("GroupNorm")
def group_norm(b: Builder, call: Call, x: str, gamma: str, beta: str) -> str:
    """Adds an instance norm of the groups: in MXNet, scale and shift belong to the groups too."""
    groups = call.integer("num_groups", 1)
    rows = b("Reshape", x, [0, groups, -1])
    rows = b("InstanceNormalization", rows, gamma, beta, epsilon=call.real("eps", 1e-5))
    return b("Reshape", rows, b("Shape", x))


@translates("Activation")
def activation(b: Builder, call: Call, x: str) -> str:
    kind = call.text("act_type", "relu")
    call.require(kind in ACTIVATIONS, f"act_type {kind}", f"use one of {', '.join(ACTIVATIONS)}")
    return b(ACTIVATIONS[kind], x)


@translates("LeakyReLU")
def leaky_relu(b: Builder, call: Call, x: str, slopes: Optional[str] = None) -> str:
    """Adds a LeakyRelu, an Elu or a PRelu with a slope for each channel."""
    kind = call.text("act_type", "leaky")
    call.require(kind in ("leaky", "elu", "prelu"), f"act_type {kind}", "use leaky, elu or prelu")
    if kind == "prelu":
        single = [-1] + [1] * (call.ranks[0] - 2)
        return b("PRelu", x, b("Reshape", slopes, single))
    return b("Elu" if kind == "elu" else "LeakyRelu", x, alpha=call.real("slope", 0.25))


@translates("UpSampling")
def up_sampling(b: Builder, call: Call, x: str, *others: str) -> str:
    """Adds a Resize that repeats each cell along both sides."""
    kind = call.text("sample_type", "nearest")
    plain = kind == "nearest" and not others
    call.require(plain, f"sample_type {kind}", "use nearest, with one input")
    scale = float(call.integer("scale", 1))
    scales = np.array([1, 1, scale, scale], "float32")
    return b(
        "Resize",
        x,
        None,
        scales,
        coordinate_transformation_mode="asymmetric",
        mode="nearest",
        nearest_mode="floor",
    )


@translates("_contrib_BilinearResize2D")
def bilinear_resize(b: Builder, call: Call, x: str, *others: str) -> str:
    """Adds a linear Resize to sides that are rounded down, as MXNet rounds them with a scale."""
    mode = call.text("mode", "size")
    scales = [call.numbers(f"scale_{side}", None) for side in ("height", "width")]
    plain = mode == "size" and not others and all(scales)
    call.require(plain, f"mode {mode} without two scales", "set scale_height and scale_width")
    sides = b.cast(b("Shape", x, start=2), "float32")
    resized = b("Floor", b("Mul", sides, np.array(scales, "float32").reshape(2)))
    sizes = b("Concat", b("Shape", x, start=0, end=2), b.cast(resized, "int64"), axis=0)
    aligned = call.flag("align_corners", True)
    how = "align_corners" if aligned else "half_pixel"
    return b("Resize", x, None, None, sizes, coordinate_transformation_mode=how, mode="linear")


@translates("softmax")
def softmax(b: Builder, call: Call, x: str) -> str:
    return _softmax(b, call, x, "Softmax")


@translates("log_softmax")
def log_softmax(b: Builder, call: Call, x: str) -> str:
    return _softmax(b, call, x, "LogSoftmax")


def _softmax(b: Builder, call: Call, x: str, op: str) -> str:
    temperature = call.numbers("temperature", None)
    if temperature:
        x = b("Div", x, float(temperature[0]))
    return b(op, x, axis=call.integer("axis", -1))


@translates("batch_dot")
def batch_dot(b: Builder, call: Call, x: str, y: str) -> str:
    if call.flag("transpose_a", False):
        x = b("Transpose", x, perm=[0, 2, 1])
    if call.flag("transpose_b", False):
        y = b("Transpose", y, perm=[0, 2, 1])
    return b("MatMul", x, y)


def _windows(call: Call, dilated: bool = True) -> Dict[str, Any]:
    """Returns ONNX's attributes for kernel, stride, pad and, if ``dilated``, dilate."""
    layout = call.text("layout", "None")
    call.require(layout in ("None", "NCW", "NCHW", "NCDHW"), f"layout {layout}", "use NCHW")
    kernel = call.numbers("kernel")
    ones = [1] * len(kernel)
    windows = {
        "kernel_shape": kernel,
        "strides": call.numbers("stride") or ones,
        "pads": 2 * (call.numbers("pad") or [0] * len(kernel)),
    }
    return {**windows, "dilations": call.numbers("dilate") or ones} if dilated else windows
