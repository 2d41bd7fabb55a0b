"""Well-formed graphs whose shapes do not fit, for the readers in Python and in C++ alike.

Each case has a function that changes the content of the symbol file of a small Faster R-CNN of
MXNet's operators, and what the message has to say. Without the check of shapes, MXNet ends the
process, takes all memory or works for minutes.
"""


def _first(content, op):
    return next(node for node in content["nodes"] if node["op"] == op)


def _named(content, name):
    return next(node for node in content["nodes"] if node["name"] == name)


def _becomes(op, other, **attributes):
    """A change: the first node of an operator becomes another one with the same inputs."""

    def change(content):
        node = _first(content, op)
        node["op"], node["attrs"] = other, attributes

    return change


def _attributes(op, **attributes):
    """A change: gives the first node of an operator other attributes."""
    return lambda content: _first(content, op)["attrs"].update(attributes)


def _condition(content):
    node = _first(content, "where")
    number = node["inputs"][0][0]
    node["inputs"][0] = [content["nodes"].index(_named(content, "sizes")), 0, 0]
    _read(content, number)


def _other_images(content):
    """The RoIs begin with a coordinate instead of the image's number."""
    rois = content["nodes"][_first(content, "_contrib_ROIAlign")["inputs"][1][0]]
    rows = content["nodes"][rois["inputs"][0][0]]
    number = rows["inputs"][0][0]
    rows["inputs"][0] = rows["inputs"][1]
    _read(content, number)


def _swapped_sides(content):
    """The RoIs begin where they should end."""
    rois = content["nodes"][_first(content, "_contrib_ROIAlign")["inputs"][1][0]]
    inputs = content["nodes"][rois["inputs"][0][0]]["inputs"]
    inputs[1], inputs[3] = inputs[3], inputs[1]


def _read(content, number):
    """Lets the last output read a node that nobody reads any more."""
    content["nodes"].append(
        {"op": "slice_like", "name": "read", "inputs": [content["heads"][2], [number, 0, 0]],
         "attrs": {"axes": "(0,)"}}
    )  # fmt: skip
    content["heads"][2] = [len(content["nodes"]) - 1, 0, 0]
    content["node_row_ptr"].append(content["node_row_ptr"][-1] + 1)


def _slow_images(content):
    """The images go through a node that takes minutes: all others move up by one."""

    def moved(entry):
        return [entry[0] + 1, *entry[1:]]

    images = {"op": "LRN", "name": "slow", "inputs": [[0, 0, 0]], "attrs": {"nsize": "1048575"}}
    for node in content["nodes"]:
        node["inputs"] = [moved(entry) for entry in node["inputs"]]
    content["heads"] = [moved(entry) for entry in content["heads"]]
    content["arg_nodes"] = [0, *(number + 1 for number in content["arg_nodes"][1:])]
    content["node_row_ptr"].append(content["node_row_ptr"][-1] + 1)
    content["nodes"].insert(1, images)


def _large_output(content):
    node = content["nodes"][content["heads"][2][0]]
    node["op"], node["attrs"] = "tile", {"reps": "(3, 4096, 4096)"}


SHAPES = {
    "a Reshape to more values": (
        _attributes("Reshape", shape="(1, 1, 4096, 4096)"),
        ("Reshape", "(256,)", "(1, 1, 4096, 4096)"),
    ),
    "a Reshape to sides whose product is 2^32": (
        _attributes("Reshape", shape="(1048576, 4096, -1)"),
        ("Reshape", "(256,)", "(1048576, 4096, -1)"),
    ),
    "a Reshape that splits by zero": (
        _attributes("Reshape", shape="(-4, 0, -1)"),
        ("Reshape", "(256,)", "(-4, 0, -1)"),
    ),
    "a condition of another shape": (_condition, ("where", "a condition", "(1, 3, 256, 256)")),
    "columns that are not there": (
        _attributes("_contrib_box_nms", coord_start="1000000000"),
        ("attrs.coord_start", "1048576", "1000000000"),
    ),
    "columns behind the last": (
        _attributes("_contrib_box_nms", score_index="8"),
        ("_contrib_box_nms", "9 columns", "(1, 200, 8)"),
    ),
    "a layer with an input that is not there": (
        _becomes("Activation", "UpSampling", scale="2", sample_type="bilinear", num_args="1"),
        ("attrs.sample_type", "nearest", "bilinear"),
    ),
    "more groups than channels": (
        _becomes("where", "GroupNorm", num_groups="64"),
        ("GroupNorm", "multiple of 64"),
    ),
    "a layer with weights of another shape": (
        _becomes("where", "GroupNorm", num_groups="3"),
        ("GroupNorm", "inputs of the shapes", "(3,)"),
    ),
    "an axis twice": (
        _attributes("transpose", axes="(0, 2, 2, 1)"),
        ("transpose", "each axis", "(0, 2, 2, 1)"),
    ),
    "coordinates of any size": (
        _becomes("clip", "BlockGrad"),
        ("_contrib_ROIAlign", "clipped", "any size"),
    ),
    "sides below zero": (_swapped_sides, ("_contrib_ROIAlign", "clipped", "no side")),
    "images that are not there": (_other_images, ("_contrib_ROIAlign", "numbered", "column")),
    "more memory than there is": (_large_output, ("values at once", "872423424", "12079")),
    "work for minutes": (_slow_images, ("steps", "2061")),
    "layers that do not fit": (
        _attributes("transpose", axes="(0, 1)"),
        ("transpose", "cannot run it"),
    ),
}
