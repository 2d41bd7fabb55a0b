"""What a hostile .onnx may hold: its metadata, and its graph.

A case of the graph has a function that changes an onnx.ModelProto, and what the message has to say.
"""

import copy
import json

from detkit.export.onnx_manifest import KEY, OnnxManifest
from support.hostile_exports import MANIFESTS as MODEL_JSON
from support.hostile_exports import setting


def text_of(model):
    """The JSON value of a model's metadata."""
    return next(entry.value for entry in model.metadata_props if entry.key == KEY)


def with_text(model, text):
    """A copy of a model with another value in its metadata."""
    model = copy.deepcopy(model)
    next(entry for entry in model.metadata_props if entry.key == KEY).value = text
    return model


SAMPLE = json.loads(
    OnnxManifest(
        detkit="0",
        classes=["a", "b", "c"],
        first_label=0,
        inputs=["images", "sizes"],
        outputs=[
            {"name": "boxes", "shape": ["B", 12, 4]},
            {"name": "scores", "shape": ["B", 12]},
            {"name": "labels", "shape": ["B", 12]},
        ],
        resize={"short": 40, "long": 96, "like": None},
        pad_multiple=16,
        channels="RGB",
        max_pixels=100,
        threshold=None,
    ).text()
)


def _is_of_both(case):
    """Whether a case of model.json changes what an .onnx says, too."""
    change, _ = MODEL_JSON[case]
    content = copy.deepcopy(SAMPLE)
    try:
        change(content)
    except (KeyError, IndexError):
        return False
    return content.keys() <= SAMPLE.keys() and json.dumps(content) != json.dumps(SAMPLE)


OWN = {  # of an .onnx alone
    "BGR": (setting("BGR", "channels"), ("channels", "expected RGB")),
    "one channel": (setting("L", "channels"), ("channels", "'L'")),
    "no pixels": (setting(0, "max_pixels"), ("max_pixels", "found 0")),
    "pixels that are true": (setting(True, "max_pixels"), ("max_pixels",)),
    "all pixels there are": (setting(2**60, "max_pixels"), ("max_pixels",)),
    "a list of texts as classes": (setting("abc", "classes"), ("classes", "a list")),
    "a later format": (setting(2, "format"), ("format", "expected 1")),
}
MANIFESTS = {**{case: MODEL_JSON[case] for case in MODEL_JSON if _is_of_both(case)}, **OWN}


def _external(tensor):
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../etc/passwd"


def _external_initializer(model):
    _external(model.graph.initializer[0])


def _external_constant(model):
    node = model.graph.node.add()
    node.op_type = "Constant"
    node.output.append("spare")
    attribute = node.attribute.add()
    attribute.name, attribute.type = "value", 4
    attribute.t.CopyFrom(model.graph.initializer[0])
    _external(attribute.t)


def _branch(model):
    node = model.graph.node.add()
    node.op_type = "If"
    attribute = node.attribute.add()
    attribute.name, attribute.type = "then_branch", 5
    attribute.g.name = "then"


def _foreign(model):
    model.graph.node[0].domain = "com.stranger"


def _unknown(model):
    model.graph.node[0].op_type = "Explode"


def _function(model):
    model.functions.add().name = "f"


def _sparse(model):
    model.graph.sparse_initializer.add()


def _twice(model):
    model.metadata_props.add().key = KEY


def _other_input(model):
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == "sizes":
                node.input[place] = "pictures"
    next(one for one in model.graph.input if one.name == "sizes").name = "pictures"


def _fewer_outputs(model):
    del model.graph.output[-1]


def _whole_numbers(model):
    node = next(node for node in model.graph.node if node.output[0] == "labels")
    node.op_type = "Cast"
    attribute = node.attribute.add()
    attribute.name, attribute.type, attribute.i = "to", 2, 7
    output = next(one for one in model.graph.output if one.name == "labels")
    output.type.tensor_type.elem_type = 7


def _circle(model):
    node = next(node for node in model.graph.node if node.op_type == "Conv")
    node.input[0] = node.output[0]


def _no_metadata(model):
    del model.metadata_props[:]


GRAPHS = {
    "weights in another file": (_external_initializer, "a tensor lies in another file"),
    "a constant in another file": (_external_constant, "a tensor lies in another file"),
    "a graph within the graph": (_branch, "there is a graph or a sparse tensor in a node"),
    "an operator of another domain": (_foreign, "an operator of b'com.stranger'"),
    "an operator that there is not": (_unknown, "Explode"),
    "a function": (_function, "there is a function"),
    "a sparse tensor": (_sparse, "there is a sparse tensor"),
    "two manifests": (_twice, "is there twice"),
    "another input": (_other_input, "inputs: expected images, sizes of type float"),
    "an output less": (_fewer_outputs, "outputs: expected boxes, scores, labels"),
    "labels that are whole numbers": (_whole_numbers, "outputs: expected boxes, scores, labels"),
    "a circle": (_circle, "which none before it writes"),
    "no metadata": (_no_metadata, "metadata: expected 'detkit'"),
}
