"""What a hostile folder of an export may hold, for the readers in Python and in C++ alike.

Each case has a function that changes the content of a file, and what the message has to say.
"""

import copy
import json

from detkit.export.manifest import MANIFEST, SYMBOL
from detkit.files.disk import sha256_of
from support.hostile_outputs import OUTPUTS
from support.hostile_thresholds import THRESHOLDS

LARGE = 2**31  # one more than MXNet's indices can be
DIGITS = "0" * 64


def setting(value, *path):
    """A change: puts a value at a place of nested lists and mappings."""

    def change(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


def without(*path):
    """A change: takes a key or an item away."""

    def change(content):
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


def _layer(content, op="Convolution"):
    return next(node for node in content["nodes"] if node["op"] == op)


def of_layer(change):
    """A change of the first convolution of a graph."""
    return lambda content: change(_layer(content))


def of_parameter(change):
    """A change of the variable of the first convolution's weight."""
    return lambda content: change(content["nodes"][_layer(content)["inputs"][1][0]])


def attribute(key, value):
    """A change: gives the first convolution an attribute."""
    return of_layer(setting(value, "attrs", key))


def _circle(content):
    layer = _layer(content)
    layer["inputs"][0] = [content["nodes"].index(layer), 0, 0]


def _unread(content):
    content["nodes"].append({"op": "null", "name": "spare", "inputs": []})


def _twice(content):
    variables = [node for node in content["nodes"] if node["op"] == "null"]
    variables[1]["name"] = variables[2]["name"]


def _variable_with_inputs(content):
    content["nodes"][content["arg_nodes"][1]]["inputs"] = [[0, 0, 0]]


def _deep(content):
    value = []
    for _ in range(70):
        value = [value]
    content["heads"] = value


def _too_many(content):
    content["nodes"] *= 20_000 // len(content["nodes"]) + 1


MANIFESTS = {
    "a format that is true": (setting(True, "format"), ("format",)),
    "a version that is null": (setting(None, "mxnet"), ("mxnet",)),
    "no classes": (setting([], "classes"), ("classes", "1 to 10000")),
    "a class that is a number": (setting([1, "b", "c"], "classes"), ("classes",)),
    "a long class": (setting(["x" * 1025, "b", "c"], "classes"), ("classes", "1024")),
    "many classes": (setting(["x"] * 10_001, "classes"), ("classes", "10000")),
    "a negative first label": (setting(-5, "first_label"), ("first_label", "-5")),
    "a first label of no class": (setting(3, "first_label"), ("first_label", "0 to 2", "3")),
    "a first label that is true": (setting(True, "first_label"), ("first_label",)),
    "a first label with a point": (setting(0.0, "first_label"), ("first_label",)),
    "a negative multiple": (setting(-32, "pad_multiple"), ("pad_multiple", "-32")),
    "no multiple": (setting(0, "pad_multiple"), ("pad_multiple", "found 0")),
    "a large multiple": (setting(20_000, "pad_multiple"), ("pad_multiple", "1024", "20000")),
    "a huge multiple": (setting(10**30, "pad_multiple"), ("pad_multiple", "1024")),
    "inputs that are mappings": (setting([{}], "inputs"), ("inputs",)),
    "other inputs": (setting(["pictures", "sizes"], "inputs"), ("inputs", "pictures")),
    "inputs the other way round": (setting(["sizes", "images"], "inputs"), ("inputs", "sizes")),
    "no outputs": (setting([], "outputs"), ("outputs", "boxes")),
    "outputs that are texts": (setting(["a", "b", "c"], "outputs"), ("outputs",)),
    "another output": (setting("edges", "outputs", 0, "name"), ("outputs", "boxes")),
    "boxes of five numbers": (setting(5, "outputs", 0, "shape", 2), ("outputs", "boxes")),
    "as many rows as one likes": (setting(10**9, "outputs", 0, "shape", 1), ("outputs", "100000")),
    "other numbers of rows": (setting(7, "outputs", 1, "shape", 1), ("outputs", "scores")),
    "an output without a shape": (without("outputs", 2, "shape"), ("outputs",)),
    **OUTPUTS,
    "a resize that is large": (
        setting({"short": 10**6, "long": 10**6, "like": None}, "resize"),
        ("resize", "16384", "1000000"),
    ),
    "a resize of no pixel": (setting(0, "resize", "short"), ("resize", "short")),
    "a resize that is true": (setting(True, "resize", "long"), ("resize", "long")),
    "a resize with more": (setting(1, "resize", "more"), ("resize", "short")),
    "a resize with less": (without("resize", "like"), ("resize", "like")),
    "an unknown resize": (setting("x", "resize", "like"), ("resize", "torchvision", "'x'")),
    "an empty resize": (setting("", "resize", "like"), ("resize", "torchvision", "''")),
    "other operators": (setting("cuda", "ops"), ("ops", "native", "cuda")),
    "another precision": (setting("int4", "precision"), ("precision", "int8", "int4")),
    "other CPUs": (setting("arm", "int8_for"), ("int8_for", "vnni", "arm")),
    "a library elsewhere": (setting("../x.so", "library"), ("../x.so",)),
    "a library that is not there": (setting("x.so", "library"), ("files", "x.so")),
    "a file elsewhere": (setting(DIGITS, "files", "../x"), ("files", "../x")),
    "a file of no name": (setting(DIGITS, "files", ""), ("files",)),
    "the folder itself": (setting(DIGITS, "files", "."), ("files", "'.'")),
    "a file of another system": (setting(DIGITS, "files", "a\\b"), ("files",)),
    "a short hash": (setting("0" * 63, "files", "x"), ("files", "'x'")),
    "a hash that is a number": (setting(5, "files", "x"), ("files",)),
    "no symbol": (without("files", SYMBOL), ("files", SYMBOL)),
    "many files": (lambda c: c["files"].update({f"f{i}": DIGITS for i in range(64)}), ("files",)),
    **THRESHOLDS,
    "a source that is a number": (setting(3, "source", "config"), ("source",)),
    "no source": (without("source"), ("source",)),
}

# Texts of model.json, from the text of one that is right.
TEXTS = {
    "a key twice": (lambda text: text.replace("{", '{"format": 1, ', 1), ("format",)),
    "a number that no double can hold": (
        lambda text: text.replace(": 0,", ": 1e999,"),
        ("double",),
    ),
    "no number": (lambda text: text.replace(": 0,", ": NaN,"), ()),
    "half of a pair": (lambda text: text.replace('"mxnet": "', '"mxnet": "\\ud800'), ("pair",)),
    "nothing": (lambda text: "", ()),
    "a cut text": (lambda text: text[:-20], ()),
    "two values": (lambda text: text + "{}", ()),
    "deep nesting": (lambda text: "[" * 100_000 + "]" * 100_000, ()),
    "many values": (lambda text: "[" + "0," * 600_000 + "0]", ("500",)),
    "a large file": (lambda text: text + " " * (1 << 22), ("bytes",)),
    "a list": (lambda text: "[]", ()),
}

GRAPHS = {
    "an input after all nodes": (
        of_layer(setting(LARGE, "inputs", 0, 0)),
        ("inputs[0]", "2147483648"),
    ),
    "a negative input": (of_layer(setting(-1, "inputs", 0, 0)), ("inputs[0]", "-1")),
    "an input that is true": (of_layer(setting(True, "inputs", 0, 0)), ("inputs[0]",)),
    "an input with a point": (of_layer(setting(0.0, "inputs", 0, 0)), ("inputs[0]",)),
    "a circle": (_circle, ("inputs[0]", "a node from 0 to ")),
    "an output that is not there": (
        of_layer(setting(1, "inputs", 0, 1)),
        ("inputs[0]", "an output from 0 to 0", "found 1"),
    ),
    "a huge output": (of_layer(setting(LARGE, "inputs", 0, 1)), ("inputs[0]", "2147483648")),
    "a huge version": (of_layer(setting(LARGE, "inputs", 0, 2)), ("inputs[0]", "version")),
    "an input of two numbers": (of_layer(setting([0, 0], "inputs", 0)), ("inputs[0]", "version")),
    "a head after all nodes": (setting(LARGE, "heads", 0, 0), ("heads[0]", "2147483648")),
    "a negative head": (setting(-7, "heads", 0, 0), ("heads[0]", "-7")),
    "a head that is not there": (setting(9, "heads", 0, 1), ("heads[0]", "found 9")),
    "one head less": (lambda c: c["heads"].pop(), ("nodes[", "read")),
    "one head more": (lambda c: c["heads"].append(c["heads"][0]), ("heads", "3", "4")),
    "no head": (setting([], "heads"), ("heads",)),
    "a variable after all nodes": (setting(LARGE, "arg_nodes", 0), ("arg_nodes",)),
    "a variable less": (lambda c: c["arg_nodes"].pop(), ("arg_nodes",)),
    "a variable that is none": (lambda c: c["arg_nodes"].append(1), ("arg_nodes",)),
    "rows that are negative": (setting(-1, "node_row_ptr", 0), ("node_row_ptr[0]", "-1")),
    "rows that are huge": (setting(LARGE, "node_row_ptr", 3), ("node_row_ptr[3]", "2147483648")),
    "a row less": (lambda c: c["node_row_ptr"].pop(), ("node_row_ptr",)),
    "no nodes": (setting([], "nodes"), ("nodes", "20000")),
    "too many nodes": (_too_many, ("20000",)),
    "a key more": (setting(1, "more"), ("'more'",)),
    "a key less": (without("heads"), ("'heads'",)),
    "no version": (setting({}, "attrs"), ("mxnet_version",)),
    "an old version": (setting(["int", 800], "attrs", "mxnet_version"), ("mxnet_version",)),
    "a list": (setting([], "nodes", 0), ("nodes[0]",)),
    "a node of an old file": (setting({}, "nodes", 0, "param"), ("nodes[0]", "'param'")),
    "a node without a name": (without("nodes", 0, "name"), ("nodes[0]", "'name'")),
    "an empty name": (setting("", "nodes", 0, "name"), ("nodes[0].name",)),
    "a long name": (setting("x" * 1025, "nodes", 0, "name"), ("nodes[0].name", "1024")),
    "a name with a null": (setting("x\0y", "nodes", 0, "name"), ("nodes[0].name",)),
    "a name twice": (_twice, ("once",)),
    "a node that is not read": (_unread, ("nodes[", "'spare'")),
    "a variable that reads": (_variable_with_inputs, ("variable",)),
    "an unknown operator": (of_layer(setting("Convolve", "op")), ("op", "'Convolve'")),
    "an operator of a pointer": (of_layer(setting("_Native", "op")), ("op", "'_Native'")),
    "an operator of a file": (of_layer(setting("_cvimread", "op")), ("op", "'_cvimread'")),
    "an operator of code": (of_layer(setting("Custom", "op")), ("op", "'Custom'")),
    "an operator of the library": (of_layer(setting("detkit_nms", "op")), ("op", "library")),
    "an input less": (of_layer(without("inputs", 2)), ("inputs", "found 2")),
    "an input more": (of_layer(lambda node: node["inputs"].append([0, 0, 0])), ("found 4",)),
    "no stride": (attribute("stride", "(0, 0)"), ("attrs.stride", "1 to 1024", "(0, 0)")),
    "a negative stride": (attribute("stride", "(-1, 1)"), ("attrs.stride", "(-1, 1)")),
    "a huge kernel": (attribute("kernel", "(3, 100000)"), ("attrs.kernel", "100000")),
    "a kernel that is a text": (attribute("kernel", "(3, x)"), ("attrs.kernel", "(3, x)")),
    "no kernel": (attribute("kernel", ""), ("attrs.kernel", "1 to 1024")),
    "an input with lengths": (
        attribute("use_length", "True"),
        ("attrs.use_length", "False or false or 0", "True"),
    ),
    "many filters": (attribute("num_filter", "9" * 40), ("attrs.num_filter", "65536")),
    "no group": (attribute("num_group", "0"), ("attrs.num_group", "'0'")),
    "a number of too many bits": (attribute("workspace", "4294967296"), ("attrs.workspace",)),
    "many numbers": (attribute("workspace", "1," * 65), ("attrs.workspace", "64")),
    "an attribute that is a number": (of_layer(setting(1, "attrs", "kernel")), ("attrs", "4096")),
    "a long attribute": (attribute("layout", "x" * 4097), ("attrs", "4096")),
    "many attributes": (
        of_layer(lambda node: node["attrs"].update({f"a{i}": "" for i in range(64)})),
        ("attrs", "64"),
    ),
    "a hidden attribute": (attribute("__ctx_group__", "x"), ("attrs.__ctx_group__",)),
    "a subgraph": (of_layer(setting([], "subgraphs")), ("subgraphs", "none")),
    "a storage of a parameter": (
        of_parameter(setting("1", "attrs", "__storage_type__")),
        ("__storage_type__",),
    ),
    "a shape of a parameter": (
        of_parameter(setting("(1000000, 3, 3, 3)", "attrs", "__shape__")),
        ("__shape__", "1000000"),
    ),
    "a type of a parameter": (
        of_parameter(setting("3", "attrs", "__dtype__")),
        ("__dtype__", "'3'"),
    ),
    "a parameter that is not there": (of_parameter(setting("other", "name")), ("arg:other",)),
    "deep nesting": (_deep, ()),
}


def change_manifest(folder, change):
    """Changes the content of model.json."""
    path = folder / MANIFEST
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def change_file(folder, name, change):
    """Changes a file by a function of its path, and its hash in model.json as well."""
    change(folder / name)
    change_manifest(folder, setting(sha256_of(folder / name), "files", name))


def change_graph(folder, change):
    """Changes the content of the symbol file, and its hash."""

    def written(path):
        content = copy.deepcopy(json.loads(path.read_text(encoding="utf-8")))
        change(content)
        path.write_text(json.dumps(content), encoding="utf-8")

    change_file(folder, SYMBOL, written)
