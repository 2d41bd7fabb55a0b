"""Translators of elementwise operators and of reductions over axes."""

from typing import List, Sequence, Union

import numpy as np

from detkit.export.onnx.builder import Builder
from detkit.export.onnx.translate import Call, translates

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
# MXNet has up to three names for an operation: for arrays of one shape, for arrays that are
# broadcast, and for an array and a number. "_r" means that the number is the left operand.
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
def unary(b: Builder, call: Call, x: str) -> str:
    return b(UNARY[call.op], x)


@translates("square")
def square(b: Builder, call: Call, x: str) -> str:
    return b("Mul", x, x)


@translates(*(name for names in ARITHMETIC for name in names))
def arithmetic(b: Builder, call: Call, *inputs: str) -> str:
    name = call.op
    op = next(op for names, op in ARITHMETIC.items() if name in names)
    left, right = _operands(call, inputs)
    return b(op, right, left) if name.startswith("_r") else b(op, left, right)


@translates(*(f"{prefix}{name}" for name in COMPARISONS for prefix in ("_", "broadcast_")))
@translates(*(f"_{name}_scalar" for name in COMPARISONS))
def comparison(b: Builder, call: Call, *inputs: str) -> str:
    name = call.op
    for part in ("broadcast_", "_scalar"):
        name = name.replace(part, "")
    name = name.lstrip("_")
    truth = b(COMPARISONS[name], *_operands(call, inputs))
    return b.indicator(b("Not", truth) if name == "not_equal" else truth, call.dtype)


def _operands(call: Call, inputs: Sequence[str]) -> Sequence[Union[str, np.ndarray]]:
    """Returns the two inputs, or the input and the number ``scalar``."""
    if len(inputs) == 2:
        return inputs
    return inputs[0], np.array(call.real("scalar", 0), call.dtype)


@translates("add_n")
def add_n(b: Builder, call: Call, *inputs: str) -> str:
    return b("Sum", *inputs)


@translates("where")
def where(b: Builder, call: Call, condition: str, x: str, y: str) -> str:
    truth = b.truth(condition)
    if call.ranks[0] < call.ranks[1]:  # it selects whole rows
        truth = b("Unsqueeze", truth, list(range(1, call.ranks[1])))
    return b("Where", truth, x, y)


@translates("clip")
def clip(b: Builder, call: Call, x: str) -> str:
    limits = (np.array(call.real(name, 0), call.dtype) for name in ("a_min", "a_max"))
    return b("Clip", x, *limits)


@translates("Cast")
def cast(b: Builder, call: Call, x: str) -> str:
    return b.cast(x, call.text("dtype", "float32"))


@translates("sum", *REDUCTIONS)
def reduction(b: Builder, call: Call, x: str) -> str:
    axes, kept = _reduced(call), int(call.flag("keepdims", False))
    if call.op == "sum":
        reduced = b("ReduceSum", x, axes, keepdims=kept)
    else:
        reduced = b(REDUCTIONS[call.op], x, axes=axes, keepdims=kept)
    # A reduction over all axes has the shape (1,) in MXNet.
    return reduced if kept or len(axes) < call.ranks[0] else b("Reshape", reduced, [1])


@translates("argmax")
def argmax(b: Builder, call: Call, x: str) -> str:
    axis = call.integer("axis", None)
    call.require(axis is not None, "an argmax over all axes", "set axis")
    kept = int(call.flag("keepdims", False))
    return b.cast(b("ArgMax", x, axis=axis, keepdims=kept), call.dtype)


def _reduced(call: Call) -> List[int]:
    """Returns the axes of a reduction: ``axis``, the others with ``exclude``, or all by default."""
    rank = call.ranks[0]
    axes = {axis % rank for axis in call.numbers("axis", None)}
    return sorted(set(range(rank)) - axes if call.flag("exclude", False) or not axes else axes)
