"""Builds an ONNX graph, node by node."""

import collections
from typing import Any, Counter, Dict, List, Mapping, Optional, Sequence, Tuple, Union, overload

import numpy as np
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8  # the version of the file format that came with this opset

# A name, a constant, or None for an optional input that is left out.
Input = Union[None, str, float, int, Sequence[Any], np.ndarray]
Side = Union[int, str]  # a length, or a letter for a free dimension


class Builder:
    """An ONNX graph that grows: a call adds a node and returns the name of its output.

    classes: the number of classes; the labels that NMS gets are in [0, classes - 1].
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.scope = ""  # the prefix of new names: the name of the operator that is translated
        self._nodes: List[Any] = []
        self._initializers: List[Any] = []
        self._constants: Dict[Tuple[Any, ...], str] = {}  # by type, shape and bytes
        self._truths: Dict[str, str] = {}  # {a float output: the bool output that it was made of}
        self._used: Counter[str] = collections.Counter()

    @overload
    def __call__(self, op: str, *inputs: Input, outputs: None = None, **attributes: Any) -> str: ...

    @overload
    def __call__(self, op: str, *inputs: Input, outputs: int, **attributes: Any) -> List[str]: ...

    def __call__(
        self, op: str, *inputs: Input, outputs: Optional[int] = None, **attributes: Any
    ) -> Union[str, List[str]]:
        """Adds a node and returns the name of its output, or a list if ``outputs`` is a number.

        inputs: names, or constants: a float (float32), an int or a list of ints (int64), an array.
            None leaves an optional input out.
        """
        read = [self._name(source) for source in inputs]
        while read and not read[-1]:  # ONNX Runtime's quantizer warns of a bias without a name
            read.pop()
        name = self._unique(op)
        names = [f"{name}:{index}" for index in range(outputs)] if outputs else [name]
        self._nodes.append(helper.make_node(op, read, names, name=name, **attributes))
        return names if outputs else name

    def parameter(self, name: str, array: np.ndarray) -> str:
        """Adds a numpy array under a name and returns the name."""
        self._initializers.append(numpy_helper.from_array(array, name))
        return name

    def constant(self, array: Any) -> str:
        """Adds a numpy array or scalar and returns its name, which equal ones share."""
        array = np.asarray(array)
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._constants:
            self._constants[key] = self.parameter(f"constant/{len(self._constants)}", array)
        return self._constants[key]

    def cast(self, x: str, dtype: Any) -> str:
        """Casts x to a numpy dtype or the name of one."""
        return self("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def indicator(self, truth: str, dtype: Any = "float32") -> str:
        """Returns a bool output in MXNet's form: 1 or 0 of a type of number."""
        number = self.cast(truth, dtype)
        self._truths[number] = truth
        return number

    def truth(self, number: str) -> str:
        """Returns as a bool output whether a number is not 0."""
        return self._truths.get(number) or self("Cast", number, to=TensorProto.BOOL)

    def dimension(self, x: str, axis: int) -> str:
        """Returns the length (1,) int64 of an axis >= 0."""
        return self("Shape", x, start=axis, end=axis + 1)

    def model(
        self,
        inputs: Mapping[str, Sequence[Side]],
        outputs: Mapping[str, Tuple[str, Sequence[Side]]],
        about: Mapping[str, str],
    ) -> Any:
        """Returns the onnx.ModelProto, without the nodes and constants that no output needs.

        inputs: {name: shape}, all float32. outputs: {name: (the name of a node's output, shape)}.
        about: {key: text}, the metadata.
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
            [constant for constant in self._initializers if constant.name in read],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        model.producer_name = "detkit"
        helper.set_model_props(model, about)
        return model

    def _name(self, value: Input) -> str:
        if value is None:
            return ""
        if isinstance(value, str):
            return value
        if isinstance(value, (int, list)):
            value = np.array(value, "int64")
        return self.constant(np.float32(value) if isinstance(value, float) else value)

    def _unique(self, op: str) -> str:
        name = f"{self.scope}/{op}"
        self._used[name] += 1
        return f"{name}_{self._used[name]}"


def _described(name: str, shape: Sequence[Side]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _needed(nodes: Sequence[Any], outputs: Mapping[str, Any]) -> List[Any]:
    """Returns the nodes, in order, that the named outputs are computed from."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    return kept[::-1]
