"""The table of translators, and what each of them is given."""

import ast

from detkit.errors import ExportError

TRANSLATORS = {}  # MXNet's name of an operator -> function(builder, call, *inputs) -> output(s)


def translates(*ops):
    """Register a translator of operators of MXNet, by their names in a symbol's file.

    It is given the Builder, the Call and the names of its inputs, and returns the name of its
    output, or a list of those of several.
    """

    def register(function):
        TRANSLATORS.update(dict.fromkeys(ops, function))
        return function

    return register


class Call:
    """An operator in MXNet's graph: its arguments, and what is known of its arrays.

    ranks: the number of axes of each input. dtype: numpy's type of the first output.
    """

    def __init__(self, node, ranks, dtype):
        self.node, self.ranks, self.dtype = node, ranks, dtype

    def integer(self, name, default):
        """An argument that is a whole number, or None."""
        value = self._value(name, default)
        return None if value is None else int(value)

    def real(self, name, default):
        """An argument that is a number."""
        return float(self._value(name, default))

    def flag(self, name, default):
        """An argument that is true or false."""
        return bool(self._value(name, default))

    def text(self, name, default):
        """An argument that is a word."""
        return self.node.attributes.get(name, default)

    def numbers(self, name, default=()):
        """An argument that is a number, or several, or None: a list."""
        value = self._value(name, default)
        if value is None:
            return []
        return list(value) if isinstance(value, (list, tuple)) else [value]

    def require(self, holds, what, remedy):
        """Raise ExportError unless ``holds``: ONNX cannot express ``what``."""
        if not holds:
            raise self.error(f"{what} cannot be expressed in ONNX", remedy)

    def error(self, what, remedy):
        """The ExportError of this operator."""
        return ExportError(f"ONNX: {self.node.op} {self.node.name!r}: {what}; {remedy}")

    def _value(self, name, default):
        text = self.node.attributes.get(name)
        return default if text is None else ast.literal_eval(text)


def translate(builder, call, inputs):
    """The list of the outputs of an operator, added to the builder.

    Raises ExportError for an operator that is not in the table, or not with these arguments.
    """
    translator = TRANSLATORS.get(call.node.op)
    if translator is None:
        raise call.error(
            "there is no translation of this operator",
            "use another part of the model, or add a function to detkit/export/onnx",
        )
    builder.scope = call.node.name
    outputs = translator(builder, call, *inputs)
    return outputs if isinstance(outputs, list) else [outputs]
