"""Operators that move elements: shapes, slices, gathering."""

import numpy as np

from detkit.export.onnx.translate import translates

LAST, BEFORE_FIRST = 2**63 - 1, -(2**63)  # ends of a slice forwards and backwards


@translates("Reshape")
def reshape(b, call, x):
    """MXNet's codes -2, -3 and -4 follow the axes of the input."""
    call.require(not call.flag("reverse", False), "reverse", "write the shape from the left")
    wanted = _dimensions(call.numbers("shape"), call.ranks[0])
    axes = [each for each in wanted if isinstance(each, tuple)]
    if -1 not in wanted and axes:
        # One axis may be left for ONNX to work out: rather one that is two.
        wanted[wanted.index(max(axes, key=lambda each: each[1] - each[0]))] = -1
    wanted = [0 if each == (at, at + 1) else each for at, each in enumerate(wanted)]
    call.require(wanted.count(-1) < 2, "a shape with two unknowns", "give one of them")
    if not any(isinstance(each, tuple) for each in wanted):
        return b("Reshape", x, wanted)
    parts = [_length(b, x, *each) if isinstance(each, tuple) else [each] for each in wanted]
    return b("Reshape", x, b("Concat", *parts, axis=0))


def _dimensions(codes, rank):
    """Of each axis of the result: a number, or (begin, end) of the input's axes it is made of."""
    codes, axis, wanted = list(codes), 0, []
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


def _length(b, x, begin, end):
    return b("ReduceProd", b("Shape", x, start=begin, end=end), axes=[0], keepdims=1)


@translates("reshape_like")
def reshape_like(b, call, x, like):
    """Axes lhs_begin to lhs_end become those of ``like`` from rhs_begin to rhs_end."""
    begin, end = _range(call, "lhs", call.ranks[0])
    first, last = _range(call, "rhs", call.ranks[1])
    parts = [b("Shape", like, start=first, end=last)]
    if begin > 0:
        parts.insert(0, b("Shape", x, start=0, end=begin))
    if end < call.ranks[0]:
        parts.append(b("Shape", x, start=end, end=call.ranks[0]))
    return b("Reshape", x, b("Concat", *parts, axis=0))


def _range(call, side, rank):
    begin, end = call.integer(f"{side}_begin", None), call.integer(f"{side}_end", None)
    return (begin or 0) % rank, rank if end is None else end if end >= 0 else end + rank


@translates("Flatten")
def flatten(b, call, x):
    return b("Flatten", x, axis=1)


@translates("expand_dims")
def expand_dims(b, call, x):
    return b("Unsqueeze", x, [call.integer("axis", 0)])


@translates("squeeze")
def squeeze(b, call, x):
    return b("Squeeze", x, call.numbers("axis", None) or None)


@translates("transpose")
def transpose(b, call, x):
    axes = call.numbers("axes")
    return b("Transpose", x, perm=axes) if axes else b("Transpose", x)


@translates("depth_to_space")
def depth_to_space(b, call, x):
    return b("DepthToSpace", x, blocksize=call.integer("block_size", 1), mode="DCR")


@translates("Concat")
def concat(b, call, *inputs):
    return b("Concat", *inputs, axis=call.integer("dim", 1))


@translates("stack")
def stack(b, call, *inputs):
    axis = call.integer("axis", 0)
    return b("Concat", *(b("Unsqueeze", each, [axis]) for each in inputs), axis=axis)


@translates("SliceChannel")
def slice_channel(b, call, x):
    axis, count = call.integer("axis", 1), call.integer("num_outputs", 1)
    parts = b("Split", x, outputs=count, axis=axis)
    if not call.flag("squeeze_axis", False):
        return parts
    return [b("Squeeze", part, [axis]) for part in parts]


@translates("slice_axis")
def slice_axis(b, call, x):
    end = call.integer("end", None)
    begin, end = [call.integer("begin", 0)], [LAST if end is None else end]
    return b("Slice", x, begin, end, [call.integer("axis", 0)])


@translates("slice")
def slice_(b, call, x):
    begin, end = call.numbers("begin"), call.numbers("end")
    steps = [step or 1 for step in call.numbers("step") or [1] * len(begin)]
    call.require(min(steps) > 0, "a slice backwards", "use reverse")
    begin = [each or 0 for each in begin]
    end = [LAST if each is None else each for each in end]
    return b("Slice", x, begin, end, list(range(len(begin))), steps)


@translates("slice_like")
def slice_like(b, call, x, like):
    axes = [a % call.ranks[0] for a in call.numbers("axes")] or list(range(call.ranks[0]))
    end = b("Gather", b("Shape", like), axes, axis=0)
    return b("Slice", x, [0] * len(axes), end, axes)


@translates("reverse")
def reverse(b, call, x):
    axes = call.numbers("axis")
    count = len(axes)
    return b("Slice", x, [-1] * count, [BEFORE_FIRST] * count, axes, [-1] * count)


@translates("broadcast_like")
def broadcast_like(b, call, x, like):
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
def broadcast_axis(b, call, x):
    shape = [1] * call.ranks[0]
    for axis, size in zip(call.numbers("axis"), call.numbers("size")):
        shape[axis] = size
    return b("Expand", x, shape)


@translates("zeros_like")
def zeros_like(b, call, x):
    return _filled(b, call, x, 0)


@translates("ones_like")
def ones_like(b, call, x):
    return _filled(b, call, x, 1)


def _filled(b, call, x, value):
    return b("Expand", np.array(value, call.dtype), b("Shape", x))


@translates("_contrib_arange_like")
def arange_like(b, call, x):
    axis = call.integer("axis", None)
    plain = (call.real("start", 0), call.real("step", 1), call.integer("repeat", 1)) == (0, 1, 1)
    call.require(axis is not None and plain, "such a range", "use that of one axis, from 0 by 1")
    length = b("Squeeze", b.dimension(x, axis % call.ranks[0]), [0])
    return b.cast(b("Range", 0, length, 1), call.dtype)


@translates("_zeros", "_ones", "_full")
def filled(b, call):
    value = {"_zeros": 0, "_ones": 1}.get(call.node.op) or call.real("value", 0)
    return b.constant(np.full(call.numbers("shape"), value, call.dtype))


@translates("_arange")
def arange(b, call):
    repeat = call.integer("repeat", 1)
    limits = call.real("start", 0), call.integer("stop", None), call.real("step", 1)
    return b.constant(np.arange(*limits, dtype=call.dtype).repeat(repeat))


@translates("gather_nd")
def gather_nd(b, call, x, index):
    """MXNet's indices have the axes they are for first, ONNX's last."""
    order = [*range(1, call.ranks[1]), 0]
    return b("GatherND", x, b("Transpose", b.cast(index, "int64"), perm=order))


@translates("take")
def take(b, call, x, index):
    axis, mode = call.integer("axis", 0), call.text("mode", "clip")
    call.require(mode == "clip", f"mode {mode}", "use clip")
    return b("Gather", x, _within(b, call, x, index, axis), axis=axis)


@translates("pick")
def pick(b, call, x, index):
    axis, mode = call.integer("axis", -1), call.text("mode", "clip")
    call.require(mode == "clip", f"mode {mode}", "use clip")
    index = _within(b, call, x, index, axis)
    kept = call.flag("keepdims", False)
    if call.ranks[1] < call.ranks[0]:
        index = b("Unsqueeze", index, [axis])
    picked = b("GatherElements", x, index, axis=axis)
    return picked if kept else b("Squeeze", picked, [axis])


def _within(b, call, x, index, axis):
    """Indices of an axis as int64, those beyond its ends moved there."""
    last = b("Sub", b.dimension(x, axis % call.ranks[0]), 1)
    return b("Max", b("Min", b.cast(index, "int64"), last), 0)
