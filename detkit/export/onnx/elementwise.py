"""Operators that treat every element alike, and those that reduce an axis."""

import numpy as np

from detkit.export.onnx.translate import translates

UNARY = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "abs": "Abs",
    "sign": "Sign",
    "floor": "Floor",
    "ceil": "Ceil",
    "negative": "Neg",
    "erf": "Erf",
}
# MXNet's names of a sum of two arrays are elemwise_add and broadcast_add, of a maximum _maximum and
# broadcast_maximum; of a sum with a number _plus_scalar.
ARITHMETIC = {
    ("elemwise_add", "broadcast_add", "_plus_scalar"): "Add",
    ("elemwise_sub", "broadcast_sub", "_minus_scalar"): "Sub",
    ("elemwise_mul", "broadcast_mul", "_mul_scalar"): "Mul",
    ("elemwise_div", "broadcast_div", "_div_scalar"): "Div",
    ("_maximum", "broadcast_maximum", "_maximum_scalar"): "Max",
    ("_minimum", "broadcast_minimum", "_minimum_scalar"): "Min",
    ("_power", "broadcast_power", "_power_scalar"): "Pow",
    ("_rminus_scalar",): "Sub",
    ("_rdiv_scalar",): "Div",
    ("_rpower_scalar",): "Pow",
}
COMPARISONS = {
    "equal": "Equal",
    "not_equal": "Equal",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "lesser": "Less",
    "lesser_equal": "LessOrEqual",
}
REDUCTIONS = {"max": "ReduceMax", "min": "ReduceMin", "mean": "ReduceMean"}


@translates(*UNARY)
def unary(b, call, x):
    return b(UNARY[call.node.op], x)


@translates("square")
def square(b, call, x):
    return b("Mul", x, x)


@translates(*(name for names in ARITHMETIC for name in names))
def arithmetic(b, call, *inputs):
    name = call.node.op
    op = next(op for names, op in ARITHMETIC.items() if name in names)
    left, right = _operands(call, inputs)
    return b(op, right, left) if name.startswith("_r") else b(op, left, right)


@translates(*(f"{prefix}{name}" for name in COMPARISONS for prefix in ("_", "broadcast_")))
@translates(*(f"_{name}_scalar" for name in COMPARISONS))
def comparison(b, call, *inputs):
    name = call.node.op
    for part in ("broadcast_", "_scalar"):
        name = name.replace(part, "")
    name = name.lstrip("_")
    truth = b(COMPARISONS[name], *_operands(call, inputs))
    return b.indicator(b("Not", truth) if name == "not_equal" else truth, call.dtype)


def _operands(call, inputs):
    """Two inputs, or one and the number ``scalar``."""
    if len(inputs) == 2:
        return inputs
    return inputs[0], np.array(call.real("scalar", 0), call.dtype)


@translates("add_n")
def add_n(b, call, *inputs):
    return b("Sum", *inputs)


@translates("where")
def where(b, call, condition, x, y):
    truth = b.truth(condition)
    if call.ranks[0] < call.ranks[1]:  # of whole rows
        truth = b("Unsqueeze", truth, list(range(1, call.ranks[1])))
    return b("Where", truth, x, y)


@translates("clip")
def clip(b, call, x):
    limits = (np.array(call.real(name, 0), call.dtype) for name in ("a_min", "a_max"))
    return b("Clip", x, *limits)


@translates("Cast")
def cast(b, call, x):
    return b.cast(x, call.text("dtype", "float32"))


@translates("sum", *REDUCTIONS)
def reduction(b, call, x):
    axes, kept = _reduced(call), int(call.flag("keepdims", False))
    if call.node.op == "sum":
        reduced = b("ReduceSum", x, axes, keepdims=kept)
    else:
        reduced = b(REDUCTIONS[call.node.op], x, axes=axes, keepdims=kept)
    # What is left of all axes is (1,) in MXNet.
    return reduced if kept or len(axes) < call.ranks[0] else b("Reshape", reduced, [1])


@translates("argmax")
def argmax(b, call, x):
    axis = call.integer("axis", None)
    call.require(axis is not None, "an argmax of all axes", "name one")
    kept = int(call.flag("keepdims", False))
    return b.cast(b("ArgMax", x, axis=axis, keepdims=kept), call.dtype)


def _reduced(call):
    """The axes of a reduction: those named, the others with ``exclude``, all if none is."""
    rank = call.ranks[0]
    axes = {axis % rank for axis in call.numbers("axis", None)}
    return sorted(set(range(rank)) - axes if call.flag("exclude", False) or not axes else axes)
