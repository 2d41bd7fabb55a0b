"""Translators of operators that move elements: shapes, slices, gathering."""

from typing import List, Sequence, Tuple, Union

import numpy as np

from detkit.export.onnx.builder import Builder
from detkit.export.onnx.translate import Call, translates

LAST, BEFORE_FIRST = 2**63 - 1, -(2**63)  # the ends of a whole slice, forwards and backwards

Dimension = Union[int, Tuple[int, int]]  # a length, or a range (begin, end) of the input's axes


@translates("Reshape")
def reshape(b: Builder, call: Call, x: str) -> str:
    """Translates MXNet's codes -2, -3 and -4, which stand for axes of the input."""
    call.require(not call.flag("reverse", False), "reverse", "write the shape from the left")
    wanted = _dimensions(call.numbers("shape"), call.ranks[0])
    ranges = [side for side in wanted if isinstance(side, tuple)]
    if -1 not in wanted and ranges:
        # ONNX can infer one length. A product of several lengths is the best one to leave to it.
        wanted[wanted.index(max(ranges, key=lambda axes: axes[1] - axes[0]))] = -1
    wanted = [0 if side == (at, at + 1) else side for at, side in enumerate(wanted)]
    call.require(wanted.count(-1) < 2, "a shape with two unknowns", "set one of them")
    if not any(isinstance(side, tuple) for side in wanted):
        return b("Reshape", x, wanted)
    parts = [_length(b, x, *side) if isinstance(side, tuple) else [side] for side in wanted]
    return b("Reshape", x, b("Concat", *parts, axis=0))


def _dimensions(shape: Sequence[int], rank: int) -> List[Dimension]:
    """Returns the Dimension of each axis of the result of MXNet's Reshape.

    shape: with MXNet's codes. rank: of the input.
    """
    codes, axis = list(shape), 0
    wanted: List[Dimension] = []
    while codes:
        code = codes.pop(0)
        if code == -2:
            wanted += [(at, at + 1) for at in range(axis, rank)]
            axis = rank
        elif code == -4:
            wanted += [codes.pop(0), codes.pop(0)]
            axis += 1
        else:
            taken = 2 if code == -3 else 1
            wanted.append((axis, axis + taken) if code in (0, -3) else code)
            axis += taken
    return wanted


def _length(b: Builder, x: str, begin: int, end: int) -> str:
    """Returns the product (1,) of the lengths of axes begin to end."""
    return b("ReduceProd", b("Shape", x, start=begin, end=end), axes=[0], keepdims=1)


@translates("reshape_like")
def reshape_like(b: Builder, call: Call, x: str, like: str) -> str:
    """Replaces the axes lhs_begin to lhs_end by the axes rhs_begin to rhs_end of ``like``."""
    begin, end = _range(call, "lhs", call.ranks[0])
    first, last = _range(call, "rhs", call.ranks[1])
    parts = [b("Shape", like, start=first, end=last)]
    if begin > 0:
        parts.insert(0, b("Shape", x, start=0, end=begin))
    if end < call.ranks[0]:
        parts.append(b("Shape", x, start=end, end=call.ranks[0]))
    return b("Reshape", x, b("Concat", *parts, axis=0))


def _range(call: Call, side: str, rank: int) -> Tuple[int, int]:
    """Returns the range of axes (begin, end) that the arguments of one side describe."""
    begin, end = call.integer(f"{side}_begin", None), call.integer(f"{side}_end", None)
    return (begin or 0) % rank, rank if end is None else end if end >= 0 else end + rank


@translates("Flatten")
def flatten(b: Builder, call: Call, x: str) -> str:
    return b("Flatten", x, axis=1)


@translates("expand_dims")
def expand_dims(b: Builder, call: Call, x: str) -> str:
    return b("Unsqueeze", x, [call.integer("axis", 0)])


@translates("squeeze")
def squeeze(b: Builder, call: Call, x: str) -> str:
    return b("Squeeze", x, call.numbers("axis", None) or None)


@translates("transpose")
def transpose(b: Builder, call: Call, x: str) -> str:
    axes = call.numbers("axes")
    return b("Transpose", x, perm=axes) if axes else b("Transpose", x)


@translates("depth_to_space")
def depth_to_space(b: Builder, call: Call, x: str) -> str:
    return b("DepthToSpace", x, blocksize=call.integer("block_size", 1), mode="DCR")


@translates("Concat")
def concat(b: Builder, call: Call, *inputs: str) -> str:
    return b("Concat", *inputs, axis=call.integer("dim", 1))


@translates("stack")
def stack(b: Builder, call: Call, *inputs: str) -> str:
    axis = call.integer("axis", 0)
    return b("Concat", *(b("Unsqueeze", x, [axis]) for x in inputs), axis=axis)


@translates("SliceChannel")
def slice_channel(b: Builder, call: Call, x: str) -> List[str]:
    axis, count = call.integer("axis", 1), call.integer("num_outputs", 1)
    parts = b("Split", x, outputs=count, axis=axis)
    if not call.flag("squeeze_axis", False):
        return parts
    return [b("Squeeze", part, [axis]) for part in parts]


@translates("slice_axis")
def slice_axis(b: Builder, call: Call, x: str) -> str:
    end = call.integer("end", None)
    begin, end = [call.integer("begin", 0)], [LAST if end is None else end]
    return b("Slice", x, begin, end, [call.integer("axis", 0)])


@translates("slice")
def slice_(b: Builder, call: Call, x: str) -> str:
    """Adds a Slice of the first axes, from ``begin`` to ``end``; None is the end of an axis."""
    begin, end = call.numbers("begin"), call.numbers("end")
    steps = [step or 1 for step in call.numbers("step") or [1] * len(begin)]
    call.require(min(steps) > 0, "a slice backwards", "use reverse")
    begin = [first or 0 for first in begin]
    end = [LAST if last is None else last for last in end]
    return b("Slice", x, begin, end, list(range(len(begin))), steps)


@translates("slice_like")
def slice_like(b: Builder, call: Call, x: str, like: str) -> str:
    axes = [a % call.ranks[0] for a in call.numbers("axes")] or list(range(call.ranks[0]))
    end = b("Gather", b("Shape", like), axes, axis=0)
    return b("Slice", x, [0] * len(axes), end, axes)


@translates("reverse")
def reverse(b: Builder, call: Call, x: str) -> str:
    axes = call.numbers("axis")
    count = len(axes)
    return b("Slice", x, [-1] * count, [BEFORE_FIRST] * count, axes, [-1] * count)


@translates("Pad")
def pad(b: Builder, call: Call, x: str) -> str:
    """Adds a Pad with a constant."""
    mode = call.text("mode", "constant")
    call.require(mode == "constant", f"mode {mode}", "use constant")
    widths = call.numbers("pad_width")  # MXNet: before and after of each axis in turn
    filling = np.array(call.real("constant_value", 0), "float32")
    return b("Pad", x, [*widths[::2], *widths[1::2]], filling, mode="constant")


@translates("broadcast_like")
def broadcast_like(b: Builder, call: Call, x: str, like: str) -> str:
    """Adds an Expand to the sides of ``like``, of all axes or of ``lhs_axes`` alone."""
    axes = zip(call.numbers("lhs_axes", None), call.numbers("rhs_axes", None))
    sources = {axis % call.ranks[0]: other % call.ranks[1] for axis, other in axes}
    if not sources:
        return b("Expand", x, b("Shape", like))
    parts = (
        b.dimension(like, sources[axis]) if axis in sources else [1]
        for axis in range(call.ranks[0])
    )
    return b("Expand", x, b("Concat", *parts, axis=0))


@translates("broadcast_axis")
def broadcast_axis(b: Builder, call: Call, x: str) -> str:
    shape = [1] * call.ranks[0]
    for axis, size in zip(call.numbers("axis"), call.numbers("size")):
        shape[axis] = size
    return b("Expand", x, shape)


@translates("zeros_like")
def zeros_like(b: Builder, call: Call, x: str) -> str:
    return _filled(b, call, x, 0)


@translates("ones_like")
def ones_like(b: Builder, call: Call, x: str) -> str:
    return _filled(b, call, x, 1)


def _filled(b: Builder, call: Call, x: str, value: float) -> str:
    return b("Expand", np.array(value, call.dtype), b("Shape", x))


@translates("_contrib_arange_like")
def arange_like(b: Builder, call: Call, x: str) -> str:
    """Adds a Range from 0 with as many numbers as an axis of the input has elements."""
    axis = call.integer("axis", None)
    plain = (call.real("start", 0), call.real("step", 1), call.integer("repeat", 1)) == (0, 1, 1)
    remedy = "set axis, and leave start, step and repeat out"
    call.require(axis is not None and plain, "such a range", remedy)
    length = b("Squeeze", b.dimension(x, axis % call.ranks[0]), [0])
    return b.cast(b("Range", 0, length, 1), call.dtype)


@translates("_zeros", "_ones", "_full")
def filled(b: Builder, call: Call) -> str:
    value = {"_zeros": 0, "_ones": 1}.get(call.op) or call.real("value", 0)
    return b.constant(np.full(call.numbers("shape"), value, call.dtype))


@translates("_arange")
def arange(b: Builder, call: Call) -> str:
    repeat = call.integer("repeat", 1)
    limits = call.real("start", 0), call.integer("stop", None), call.real("step", 1)
    return b.constant(np.arange(*limits, dtype=call.dtype).repeat(repeat))


@translates("gather_nd")
def gather_nd(b: Builder, call: Call, x: str, index: str) -> str:
    """Moves the axis of the coordinates from the first place, as in MXNet, to the last."""
    order = [*range(1, call.ranks[1]), 0]
    return b("GatherND", x, b("Transpose", b.cast(index, "int64"), perm=order))


@translates("take")
def take(b: Builder, call: Call, x: str, index: str) -> str:
    axis, mode = call.integer("axis", 0), call.text("mode", "clip")
    call.require(mode == "clip", f"mode {mode}", "use clip")
    return b("Gather", x, _within(b, call, x, index, axis), axis=axis)


@translates("pick")
def pick(b: Builder, call: Call, x: str, index: str) -> str:
    """Adds a GatherElements of one element along an axis, by clipped indices."""
    axis, mode = call.integer("axis", -1), call.text("mode", "clip")
    call.require(mode == "clip", f"mode {mode}", "use clip")
    index = _within(b, call, x, index, axis)
    kept = call.flag("keepdims", False)
    if call.ranks[1] < call.ranks[0]:
        index = b("Unsqueeze", index, [axis])
    picked = b("GatherElements", x, index, axis=axis)
    return picked if kept else b("Squeeze", picked, [axis])


def _within(b: Builder, call: Call, x: str, index: str, axis: int) -> str:
    """Returns indices of an axis as int64, clipped to its range."""
    last = b("Sub", b.dimension(x, axis % call.ranks[0]), 1)
    return b("Max", b("Min", b.cast(index, "int64"), last), 0)
