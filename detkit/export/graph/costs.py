"""The memory and the work of an exported network, bounded before MXNet runs it.

The bounds are far above those of a detector and only exclude a graph that was made to exhaust the
machine. They grow with the inputs, because a detector of larger images needs more. Small images
count as 256 x 256 each, because a detector may have as many RoIs in them.

- The arrays that have to be there at once have at most 2^26 values for each image, 256 MiB in
  float32, and 4096 more for each value of the inputs. An operator that sorts has copies of its
  input, and the caller has a copy of each output.
- The work is at most 2^33 steps for each image, and 16,384 more for each value of the inputs. A
  step is a value that is written or read, a comparison, or 256 products of a convolution or of a
  product of matrices, which oneDNN and BLAS compute together.

tools/deploy/costs.cpp has the same numbers.
"""

import re
from typing import Dict, List, Optional, Sequence, Tuple

from detkit.export.graph.nodes import Entry, Node, Shape, count, shape_of, shapes_read

MOST_VALUES, VALUES_PER_INPUT = 1 << 26, 1 << 12
MOST_STEPS, STEPS_PER_INPUT = 1 << 33, 1 << 14
SMALL_INPUTS = 3 * 256 * 256  # values of an image
VARIABLE = "null"  # the operator of one; the parameters are not counted
PRODUCTS = 256  # that count as one step
POOLED = 4  # values that a 3x3 convolution with a pooling computes for each that it writes
SAMPLE = 8  # steps of MXNet's RoIAlign for a sample: it reads four values and their four weights
SORTING = 32  # steps for each value that is sorted
COPIES = 4  # of its input in the workspace of an operator that sorts
SORTERS = ("sort", "argsort", "topk", "_contrib_box_nms")
LAYERS = (
    *("Convolution", "Deconvolution", "FullyConnected"),
    *("detkit_conv1x1", "detkit_conv3x3", "detkit_depthwise"),
    *("_sg_mkldnn_conv", "_sg_mkldnn_fully_connected"),
)


def check_costs(
    nodes: Sequence[Node], outputs: Sequence[Entry], inputs: Dict[str, Shape]
) -> Optional[Tuple[str, int]]:
    """Returns what is expected and what was found if a network needs too much, else None.

    nodes: in the order in which they run. outputs: the network's. inputs: the shapes of the
    network's inputs by name; their first axis is that of the images.
    """
    images = max([1, *(shape[0] for shape in inputs.values())])
    values = max(images * SMALL_INPUTS, sum(map(count, inputs.values())))
    found = {
        "values at once": (
            _values_at_once(nodes, outputs),
            images * MOST_VALUES + values * VALUES_PER_INPUT,
        ),
        "steps": (
            sum(_steps(nodes, node) for node in nodes),
            images * MOST_STEPS + values * STEPS_PER_INPUT,
        ),
    }
    for what, (needed, most) in found.items():
        if needed > most:
            return f"at most {most} {what} for these inputs", needed
    return None


def _values_at_once(nodes: Sequence[Node], outputs: Sequence[Entry]) -> int:
    """Returns the most values that are needed at once; an array is, until its last reader ran."""
    last: Dict[Entry, int] = {}
    for number, node in enumerate(nodes):
        last.update(dict.fromkeys(node.inputs, number))
    copied = sum(count(shape_of(nodes, entry)) for entry in outputs)
    ends: List[List[Entry]] = [[] for _ in nodes]
    for entry, number in last.items():
        if entry not in outputs and nodes[entry[0]].op != VARIABLE:
            ends[number].append(entry)
    held = most = 0
    for number, node in enumerate(nodes):
        if node.op == VARIABLE:
            continue
        held += sum(map(count, node.shapes))
        workspace = COPIES * sum(map(count, shapes_read(nodes, node))) * (node.op in SORTERS)
        most = max(most, held + workspace)
        held -= sum(count(shape_of(nodes, entry)) for entry in ends[number])
    return max(most, held + copied)


def _steps(nodes: Sequence[Node], node: Node) -> int:
    """Returns the work of a node."""
    shapes, written = shapes_read(nodes, node), sum(map(count, node.shapes))
    return sum(map(count, shapes)) + written + _more_steps(node, shapes, written)


def _more_steps(node: Node, shapes: List[Shape], written: int) -> int:
    """Returns the work of a node beside that of reading and writing each value once.

    written: the number of values.
    """
    if node.op in LAYERS:
        largest = count(shapes[0]) if node.op == "Deconvolution" else written
        largest *= POOLED if node.attributes.get("pools") == "True" else 1
        return largest * count(shapes[1][1:]) // PRODUCTS
    if node.op in ("batch_dot", "dot"):
        return written * max(shapes[0]) // PRODUCTS
    if node.op in ("Pooling", "_contrib_quantized_pooling", "LRN"):
        window = [int(word) for word in re.findall(r"\d+", node.attributes.get("kernel", "1"))]
        return written * max(count(tuple(window)), node.whole("nsize", 1))
    if node.op == "_contrib_ROIAlign":
        return written * SAMPLE * max(node.whole("sample_ratio", 1), 1) ** 2
    if node.op == "detkit_roi_align":
        return written * max(node.whole("sampling", 1), 1) ** 2
    if node.op in ("_contrib_box_nms", "detkit_nms"):
        rows = shapes[0][-2] if len(shapes[0]) > 1 else shapes[0][-1]
        compared = _compared_by_nms(node, rows)
        return count(shapes[0][:-2]) * compared + SORTING * count(shapes[0])
    return SORTING * count(shapes[0]) if node.op in SORTERS else 0


def _compared_by_nms(node: Node, rows: int) -> int:
    """Returns the pairs of boxes that an NMS of so many rows compares.

    MXNet's compares the best ``topk`` rows with all. detkit's compares the best ``top_k_in`` with
    those it keeps, at most ``top_k_out``.
    """
    if node.op == "detkit_nms":
        entering = _at_most(rows, node.whole("top_k_in", -1))
        return entering * _at_most(entering, node.whole("top_k_out", -1))
    return rows * _at_most(rows, node.whole("topk", -1))


def _at_most(rows: int, limit: int) -> int:
    """Returns the smaller number; a limit below 1 is none."""
    return min(rows, limit) if limit > 0 else rows
