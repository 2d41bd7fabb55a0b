"""The table of translators, and the arguments that each of them gets."""

import ast
from typing import Any, Callable, Dict, List, Optional, Sequence, TypeVar, Union

import numpy as np

from detkit.errors import ExportError
from detkit.export.graph.graph import Node
from detkit.export.onnx.builder import Builder

Translator = Callable[..., Union[str, List[str]]]
Function = TypeVar("Function", bound=Translator)

TRANSLATORS: Dict[str, Translator] = {}  # by MXNet's name of the operator


def translates(*ops: str) -> Callable[[Function], Function]:
    """Registers a translator of operators, by MXNet's names of these.

    A translator is a function of the Builder, the Call and the names of the inputs. It adds nodes
    to the Builder and returns the name of the output, or a list if there are several.
    """

    def register(function: Function) -> Function:
        TRANSLATORS.update(dict.fromkeys(ops, function))
        return function

    return register


class Call:
    """An operator in MXNet's graph: its arguments, and facts about its arrays.

    op: MXNet's name of the operator. ranks: the number of axes of each input. dtype: numpy's type
        of the first output.
    """

    def __init__(self, node: Node, ranks: Sequence[int], dtype: np.dtype) -> None:
        self.node, self.ranks, self.dtype = node, ranks, dtype
        self.op = node.op or ""

    def integer(self, name: str, default: Optional[int]) -> Any:
        """Returns an argument as an integer, or None if that is its value."""
        value = self._value(name, default)
        return None if value is None else int(value)

    def real(self, name: str, default: float) -> float:
        """Returns an argument as a float."""
        return float(self._value(name, default))

    def flag(self, name: str, default: bool) -> bool:
        """Returns an argument as a bool."""
        return bool(self._value(name, default))

    def text(self, name: str, default: str) -> str:
        """Returns an argument as a string."""
        return self.node.attributes.get(name, default)

    def numbers(self, name: str, default: Optional[Sequence[float]] = ()) -> List[Any]:
        """Returns an argument that is a number, several or None as a list."""
        value = self._value(name, default)
        if value is None:
            return []
        return list(value) if isinstance(value, (list, tuple)) else [value]

    def require(self, holds: bool, what: str, remedy: str) -> None:
        """Raises ExportError unless ``holds``, because ONNX cannot express ``what``."""
        if not holds:
            raise self.error(f"{what} cannot be expressed in ONNX", remedy)

    def error(self, what: str, remedy: str) -> ExportError:
        """Returns an ExportError that names this operator."""
        return ExportError(f"ONNX: {self.op} {self.node.name!r}: {what}; {remedy}")

    def _value(self, name: str, default: Any) -> Any:
        text = self.node.attributes.get(name)
        return default if text is None else ast.literal_eval(text)


def translate(builder: Builder, call: Call, inputs: Sequence[str]) -> List[str]:
    """Adds an operator to the builder and returns the names of its outputs.

    Raises ExportError if the operator has no translator, or has arguments that ONNX cannot express.
    """
    translator = TRANSLATORS.get(call.op)
    if translator is None:
        raise call.error(
            "expected an operator that has a translation, found none for this one",
            "use another part of the model, or add a function to detkit/export/onnx",
        )
    builder.scope = call.node.name
    outputs = translator(builder, call, *inputs)
    return outputs if isinstance(outputs, list) else [outputs]
