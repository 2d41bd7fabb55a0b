"""An ONNX graph in the making."""

from collections import Counter

import numpy as np
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8  # the file format of that opset's time


class Builder:
    """Called with an operator and its inputs, it adds a node and returns the name of the output.

    classes: how many there are: the labels that a class-wise NMS is given are 0..classes-1.
    """

    def __init__(self, classes):
        self.classes = classes
        self.scope = ""  # of the names of new nodes: the name of the operator that is translated
        self._nodes, self._initializers = [], []
        self._constants = {}  # (type, shape, bytes) -> its name
        self._truths = {}  # a float output -> the bool one that it was made of
        self._used = Counter()

    def __call__(self, op, *inputs, outputs=None, **attributes):
        """Add a node; its output's name, or with ``outputs`` a list of so many.

        inputs: names, or constants: a float (float32), an int or a list of ints (int64), an array;
            None where an optional one is left out.
        """
        inputs = [self._name(each) for each in inputs]
        name = self._unique(op)
        names = [f"{name}:{index}" for index in range(outputs)] if outputs else [name]
        self._nodes.append(helper.make_node(op, inputs, names, name=name, **attributes))
        return names if outputs else name

    def parameter(self, name, array):
        """Add a numpy array under a name; the name."""
        self._initializers.append(numpy_helper.from_array(array, name))
        return name

    def constant(self, array):
        """The name of a numpy array's value; equal ones share it."""
        array = np.asarray(array)
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._constants:
            self._constants[key] = self.parameter(f"constant/{len(self._constants)}", array)
        return self._constants[key]

    def cast(self, x, dtype):
        """x as another type: a numpy dtype, or its name."""
        return self("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def indicator(self, truth, dtype="float32"):
        """A bool output as MXNet has it: 1 or 0 of a type of number."""
        number = self.cast(truth, dtype)
        self._truths[number] = truth
        return number

    def truth(self, number):
        """Whether a number is not 0, as bool."""
        return self._truths.get(number) or self("Cast", number, to=TensorProto.BOOL)

    def dimension(self, x, axis):
        """The length of an axis, not counted from the end, as (1,) int64."""
        return self("Shape", x, start=axis, end=axis + 1)

    def model(self, inputs, outputs, about):
        """The ModelProto.

        inputs: {name: shape} of what it is given, float32, free dimensions as letters. outputs:
        {name: (an output, shape)}. about: {key: text} for its metadata. What no output needs is
        left out.
        """
        for name, (source, _) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [source], [name], name=name))
        self._nodes = _needed(self._nodes, outputs)
        read = {name for node in self._nodes for name in node.input}
        graph = helper.make_graph(
            self._nodes,
            "detkit",
            [_described(name, shape) for name, shape in inputs.items()],
            [_described(name, shape) for name, (_, shape) in outputs.items()],
            [each for each in self._initializers if each.name in read],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        model.producer_name = "detkit"
        helper.set_model_props(model, about)
        return model

    def _name(self, value):
        if value is None:
            return ""
        if isinstance(value, str):
            return value
        if isinstance(value, (int, list)):
            value = np.array(value, "int64")
        return self.constant(np.float32(value) if isinstance(value, float) else value)

    def _unique(self, op):
        name = f"{self.scope}/{op}"
        self._used[name] += 1
        return f"{name}_{self._used[name]}"


def _described(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _needed(nodes, outputs):
    """The nodes, in order, that the named outputs are computed from."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    return kept[::-1]
