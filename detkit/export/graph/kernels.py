"""What the kernels of MXNet 1.9.1 trust and MXNet does not compare with the shapes.

- MXNet lets Reshape and reshape_like have another number of values than their input, and then reads
  past the end of it. The inference of Reshape divides by products of sides.
- transpose reads past the end of its input if an axis is named twice.
- A side of an output that has more than 32 bits is told as another one.
- The inference of GroupNorm divides by the number of channels of a group.
- ``where`` divides by zero if its condition fits neither the shape nor the rows of its branches.
- ``box_nms`` reads the columns that its attributes name, even if their number overflows or the
  input has fewer.
- ROIAlign and ROIPooling read the image that the first column of the RoIs names. ROIAlign reads
  anywhere for a coordinate that is not a number, takes as much memory as an RoI is large, and ends
  the process for an RoI without a side. The RoIs therefore have to come from nodes that rule this
  out, as those of ``detkit.ops`` do. A row has the image's number, which ``arange_like`` counts,
  and coordinates that are clipped after those that are not finite were replaced, with the second
  ones behind the first.

tools/deploy/kernels.cpp checks the same.
"""

import math
import re
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from detkit.export.graph.nodes import Entry, Node, Shape, count, shape_of, shapes_read
from detkit.export.graph.operators import FALSE, LARGEST

Wrong = Optional[Tuple[str, object]]  # what was expected, and what was found
LARGEST_COORDINATE = 10_001.0  # of an RoI, in pixels
LEAST_SIDE = 0.01  # of an RoI, in pixels: more than float32 loses of a coordinate
LEAST_SCALE = 1 / 4096  # cells in a pixel
KEEPS_FIRST = ("Reshape", "expand_dims", "squeeze", "broadcast_like", "BlockGrad", "_copy")
KEEPS_VALUES = (*KEEPS_FIRST, "SliceChannel", "slice_axis", "slice", "transpose")
LARGER = ("_maximum", "_minimum", "broadcast_maximum", "broadcast_minimum")
AXES = {"axes": 0, "axis": 0, "lhs_axes": 0, "rhs_axes": 1}  # and the input that has them
FACTORS = ("reps", "repeats", "scale", "stride")  # of a side of the output
MOST_SIDES = 16  # in the attribute of a Reshape
DEEPEST = 32  # nodes between the RoIs and what they come from


def check_kernel(nodes: Sequence[Node], node: Node) -> Wrong:
    """Returns what is expected and what was found if a node's arrays do not fit, else None.

    nodes: the graph, with the shapes of what the node reads and writes.
    """
    check = KERNELS.get(node.op)
    return check(nodes, node) if check else None


def check_inference(nodes: Sequence[Node], node: Node) -> Wrong:
    """Returns what is expected and what was found if MXNet's inference would fail, else None.

    nodes: the graph, with the shapes of what the node reads.
    """
    check = INFERENCES.get(node.op)
    return _axes(nodes, node) or (check(nodes, node) if check else None)


def _axes(nodes: Sequence[Node], node: Node) -> Wrong:
    """Checks that lists of axes have none twice, with which transpose reads past the end."""
    for key, number in AXES.items():
        axes = [int(word) for word in re.findall(r"-?[0-9]+", node.attributes.get(key, ""))]
        if len(axes) > 1:
            sides = len(shape_of(nodes, node.inputs[min(number, len(node.inputs) - 1)]))
            if len({axis + sides if axis < 0 else axis for axis in axes}) < len(axes):
                return f"each axis of {key} once", node.attributes[key]
    return None


def _reshape(nodes: Sequence[Node], node: Node) -> Wrong:
    """Checks the sides of a Reshape, which MXNet divides by."""
    text, shape = node.attributes.get("shape", ""), shape_of(nodes, node.inputs[0])
    sides = [int(word) for word in re.findall(r"-?[0-9]+", text)]
    backwards = node.attributes.get("reverse", "False") not in FALSE
    if 1 <= len(sides) <= MOST_SIDES and not (backwards and -4 in sides):
        step = -1 if backwards else 1
        if _reshapes(shape[::step], sides[::step]):
            return None
    return f"sides for the values of the input's {shape}", text


def _reshapes(shape: Shape, sides: List[int]) -> bool:
    """Tells whether the sides of a Reshape, in MXNet's notation, fit the shape of its input."""
    at, product, rest, free = 0, 1, list(sides), 0
    while rest:
        side = rest.pop(0)
        taken = {-2: max(len(shape) - at, 0), -3: 2}.get(side, 1)
        found = shape[at : at + taken]
        at += taken
        if side in (0, -3, -4) and len(found) < taken:
            return False
        if side == -4:
            split, rest = rest[:2], rest[2:]
            if not _splits(found[0], split):
                return False
        free += side == -1
        product *= side if side > 0 else 1 if side == -1 else count(found)
    size = count(shape)
    return size % product == 0 if free == 1 else free == 0 and product == size


def _growth(nodes: Sequence[Node], node: Node) -> Wrong:
    """Checks that no side of the output is more than MXNet tells, which is 32 bits of it."""
    values, texts = sum(map(count, shapes_read(nodes, node))), map(node.attributes.get, FACTORS)
    factor = max(
        [1, *(int(word) for text in texts for word in re.findall(r"-?[0-9]+", text or ""))]
    )
    if values * factor <= LARGEST and values < LARGEST:
        return None
    return f"at most {LARGEST} values", f"{factor} times the inputs'"


def _group_norm(nodes: Sequence[Node], node: Node) -> Wrong:
    """Checks the number of channels, which MXNet divides by the number of groups, and by that."""
    shape, groups = shape_of(nodes, node.inputs[0]), node.whole("num_groups", 1)
    if len(shape) > 2 and groups >= 1 and shape[1] % groups == 0:
        return None
    return f"an array (B, C, ...) with C a multiple of {groups}", shape


def _splits(side: int, split: List[int]) -> bool:
    """Tells whether the product of two sides is ``side``, one of which may be -1, for any."""
    given = [other for other in split if other != -1]
    if len(split) < 2 or not given or min(given) < 1:
        return False
    product = count(tuple(given))
    return product == side if len(given) == 2 else side % product == 0


def _same_count(nodes: Sequence[Node], node: Node) -> Wrong:
    before = shape_of(nodes, node.inputs[0])
    if count(before) == count(node.shapes[0]):
        return None
    return f"as many values as in the input's {before}", node.shapes[0]


def _where(nodes: Sequence[Node], node: Node) -> Wrong:
    condition, *branches = shapes_read(nodes, node)
    shape = node.shapes[0]
    if branches == [shape, shape] and condition in (shape, shape[:1]):
        return None
    return f"a condition and two branches of {shape}", (condition, *branches)


def _box_nms(nodes: Sequence[Node], node: Node) -> Wrong:
    shape = shape_of(nodes, node.inputs[0])
    columns = max(
        node.whole("coord_start", 2) + 4,
        node.whole("score_index", 1) + 1,
        node.whole("id_index", -1) + 1,
    )
    if len(shape) >= 2 and columns <= shape[-1]:
        return None
    return f"rows of at least {columns} columns", shape


def _roi_pooling(nodes: Sequence[Node], node: Node) -> Wrong:
    features, rois = shapes_read(nodes, node)
    expected = "RoIs of numbered images, with clipped coordinates, as detkit.ops makes them"
    source, output = node.inputs[1]
    rows = nodes[source]
    while rows.op in KEEPS_FIRST[:3] and shape_of(nodes, rows.inputs[0])[-1] == 5:
        rows = nodes[rows.inputs[0][0]]
    parts = shapes_read(nodes, rows)
    joined = rows.op == "Concat" and rows.shapes[0][-1] == 5 and len(parts) == 5
    if not (joined and rois[-1] == 5 and all(part[:-1] == parts[0][:-1] for part in parts)):
        return expected, rows.name
    if not _numbers_images(nodes, rows.inputs[0], features[0]):
        return expected, f"{rows.name}, whose first column may be another number"
    for entry in rows.inputs[1:]:
        if _largest(nodes, entry) > LARGEST_COORDINATE:
            return expected, f"{rows.name}, whose coordinates may be of any size"
    x1, y1, x2, y2 = rows.inputs[1:]
    if not (_is_behind(nodes, x2, x1) and _is_behind(nodes, y2, y1)):
        return expected, f"{rows.name}, whose RoIs may have no side"
    scale = node.real("spatial_scale", 0.0)
    return None if LEAST_SCALE <= scale <= 1 else (f"{LEAST_SCALE} <= spatial_scale <= 1", scale)


def _is_behind(nodes: Sequence[Node], end: Entry, begin: Entry) -> bool:
    """Tells whether a coordinate is at least LEAST_SIDE behind another one."""
    for entry in nodes[end[0]].inputs:
        added = nodes[entry[0]]
        right = added.op == "_plus_scalar" and added.real("scalar", 0.0) >= LEAST_SIDE
        if right and added.inputs == [begin]:
            return nodes[end[0]].op in ("_maximum", "broadcast_maximum")
    return False


def _numbers_images(nodes: Sequence[Node], entry: Entry, images: int) -> bool:
    """Tells whether an array has whole numbers from 0 to ``images`` - 1 and one column."""
    if shape_of(nodes, entry)[-1] != 1:
        return False
    node = nodes[entry[0]]
    for _ in range(DEEPEST):
        if node.op not in KEEPS_FIRST:
            break
        node = nodes[node.inputs[0][0]]
    return (
        node.op == "_contrib_arange_like"
        and set(node.attributes) == {"axis"}
        and count(node.shapes[0]) <= images
    )


def _largest(nodes: Sequence[Node], entry: Entry, deep: int = 0) -> float:
    """Returns a bound of the sizes of the values, infinite if there may be any or NaN."""
    node = nodes[entry[0]]
    if deep == DEEPEST or not node.inputs:
        return math.inf
    if node.op in KEEPS_VALUES:
        return _largest(nodes, node.inputs[0], deep + 1)
    if node.op in LARGER:
        return max(_largest(nodes, each, deep + DEEPEST // 8) for each in node.inputs)
    if node.op == "_plus_scalar":
        added = abs(node.real("scalar", math.inf))
        return _largest(nodes, node.inputs[0], deep + 1) + added
    if node.op == "clip" and _is_finite(nodes, node.inputs[0]):
        limits = [abs(node.real(key, math.inf)) for key in ("a_min", "a_max")]
        return max(limits) if not any(map(math.isnan, limits)) else math.inf
    return math.inf


def _is_finite(nodes: Sequence[Node], entry: Entry) -> bool:
    """Tells whether an array is where(x - x == 0, x, 0 * ones_like)."""
    chosen = nodes[entry[0]]
    if chosen.op != "where":
        return False
    condition, kept, other = chosen.inputs
    is_zero, zeros = nodes[condition[0]], nodes[other[0]]
    if is_zero.op != "_equal_scalar" or is_zero.real("scalar", 1.0) != 0:
        return False
    difference = nodes[is_zero.inputs[0][0]]
    if difference.op != "elemwise_sub" or difference.inputs != [kept, kept]:
        return False
    return zeros.op == "zeros_like" or (
        zeros.op == "_mul_scalar"
        and zeros.real("scalar", 1.0) == 0
        and nodes[zeros.inputs[0][0]].op == "ones_like"
    )


Check = Callable[[Sequence[Node], Node], Wrong]
INFERENCES: Dict[str, Check] = {
    "Reshape": _reshape,
    **dict.fromkeys(("tile", "repeat", "UpSampling", "Deconvolution", "Concat"), _growth),
    "GroupNorm": _group_norm,
    "_contrib_box_nms": _box_nms,
}
KERNELS: Dict[str, Check] = {
    "Reshape": _same_count,
    "reshape_like": _same_count,
    "where": _where,
    "_contrib_ROIAlign": _roi_pooling,
    "ROIPooling": _roi_pooling,
}
