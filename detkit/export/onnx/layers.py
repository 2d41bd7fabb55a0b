"""Layers: convolutions, pooling, normalisation, activations."""

import numpy as np

from detkit.export.onnx.translate import translates

ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus"}
POOLS = {"max": "MaxPool", "avg": "AveragePool"}
GLOBAL_POOLS = {"max": "GlobalMaxPool", "avg": "GlobalAveragePool"}


@translates("Convolution")
def convolution(b, call, x, weight, bias=None):
    return b("Conv", x, weight, bias, group=call.integer("num_group", 1), **_windows(call))


@translates("Deconvolution")
def deconvolution(b, call, x, weight, bias=None):
    shaped = call.numbers("target_shape", None)
    call.require(not any(shaped), "target_shape", "give it adj (output padding)")
    windows = _windows(call)
    added = call.numbers("adj") or [0] * len(windows["kernel_shape"])
    group = call.integer("num_group", 1)
    return b("ConvTranspose", x, weight, bias, group=group, output_padding=added, **windows)


@translates("FullyConnected")
def fully_connected(b, call, x, weight, bias=None):
    if call.flag("flatten", True):
        rows = x if call.ranks[0] == 2 else b("Flatten", x, axis=1)
        return b("Gemm", rows, weight, bias, transB=1)
    product = b("MatMul", x, b("Transpose", weight, perm=[1, 0]))
    return product if bias is None else b("Add", product, bias)


@translates("Pooling")
def pooling(b, call, x):
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
        # Else MXNet gives a last cell that lies in the padding, and ONNX gives none.
        inside = all(kernel >= stride + pad for kernel, stride, pad in sizes)
        counted = kind == "avg" and padded
        call.require(inside and not counted, "such a window rounded up", "use valid")
        windows["ceil_mode"] = 1
    if kind == "avg":
        windows["count_include_pad"] = int(padded and call.flag("count_include_pad", True))
    return b(POOLS[kind], x, **windows)


@translates("_contrib_AdaptiveAvgPooling2D")
def adaptive_pooling(b, call, x):
    size = call.numbers("output_size", None)
    call.require(set(size) <= {1}, f"output_size {size}", "use 1")
    return b("GlobalAveragePool", x)


@translates("BatchNorm")
def batch_norm(b, call, x, gamma, beta, mean, variance):
    axis = call.integer("axis", 1)
    call.require(axis == 1, f"axis {axis}", "use 1")
    if call.flag("fix_gamma", True):
        gamma = b("Add", b("Mul", gamma, 0.0), 1.0)
    return b("BatchNormalization", x, gamma, beta, mean, variance, epsilon=call.real("eps", 1e-3))


@translates("GroupNorm")
def group_norm(b, call, x, gamma, beta):
    """Scale and shift, as MXNet has them, are of the groups: an instance norm of these."""
    groups = call.integer("num_groups", 1)
    rows = b("Reshape", x, [0, groups, -1])
    rows = b("InstanceNormalization", rows, gamma, beta, epsilon=call.real("eps", 1e-5))
    return b("Reshape", rows, b("Shape", x))


@translates("Activation")
def activation(b, call, x):
    kind = call.text("act_type", "relu")
    call.require(kind in ACTIVATIONS, f"act_type {kind}", f"use one of {', '.join(ACTIVATIONS)}")
    return b(ACTIVATIONS[kind], x)


@translates("LeakyReLU")
def leaky_relu(b, call, x, slopes=None):
    kind = call.text("act_type", "leaky")
    call.require(kind in ("leaky", "elu", "prelu"), f"act_type {kind}", "use leaky, elu or prelu")
    if kind == "prelu":
        single = [-1] + [1] * (call.ranks[0] - 2)
        return b("PRelu", x, b("Reshape", slopes, single))
    return b("Elu" if kind == "elu" else "LeakyRelu", x, alpha=call.real("slope", 0.25))


@translates("UpSampling")
def up_sampling(b, call, x, *others):
    kind = call.text("sample_type", "nearest")
    call.require(kind == "nearest" and not others, f"sample_type {kind}", "use nearest, of one map")
    scale = float(call.integer("scale", 1))
    scales = np.array([1, 1, scale, scale], "float32")
    how = {"mode": "nearest", "nearest_mode": "floor"}
    return b("Resize", x, None, scales, coordinate_transformation_mode="asymmetric", **how)


@translates("softmax")
def softmax(b, call, x):
    return _softmax(b, call, x, "Softmax")


@translates("log_softmax")
def log_softmax(b, call, x):
    return _softmax(b, call, x, "LogSoftmax")


def _softmax(b, call, x, op):
    temperature = call.numbers("temperature", None)
    if temperature:
        x = b("Div", x, float(temperature[0]))
    return b(op, x, axis=call.integer("axis", -1))


@translates("batch_dot")
def batch_dot(b, call, x, y):
    if call.flag("transpose_a", False):
        x = b("Transpose", x, perm=[0, 2, 1])
    if call.flag("transpose_b", False):
        y = b("Transpose", y, perm=[0, 2, 1])
    return b("MatMul", x, y)


def _windows(call, dilated=True):
    """What ONNX calls kernel, stride, pad and, of convolutions, dilate."""
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
