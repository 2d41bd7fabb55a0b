"""The table of operators that the graph of an exported network may have: operators.inc."""

import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

FILE = Path(__file__).with_name("operators.inc")
LARGEST = 2**31 - 1  # of a whole number in an attribute without limits of its own
MOST_NUMBERS = 64  # in one attribute
WHOLE = re.compile(r"-?[0-9]+L?")
MOST_DIGITS = 18  # with the sign: fits into 64 bits
TRUE, FALSE = ("True", "true", "1"), ("False", "false", "0")
QUANTIZED = 3  # outputs of an 8-bit layer: the numbers and their range


class Operator(NamedTuple):
    """The rules of one operator: how many arrays it reads and returns.

    inputs, outputs: a number, a range "LEAST-MOST" or the word for where the number comes from.
    """

    inputs: str
    outputs: str

    def check_inputs(self, count: int, attributes: Dict[str, str]) -> Optional[str]:
        """Returns the number of inputs that is expected as text, or None if ``count`` is right."""
        least, _, most = self.inputs.partition("-")
        if not least.isdigit():
            least = most = str(_input_count(self.inputs, attributes))
        right = int(least) <= count <= int(most or least)
        return None if right else (f"{least} to {most}" if most and most != least else least)

    def output_count(self, attributes: Dict[str, str]) -> int:
        """Returns how many outputs of a node may be read."""
        if self.outputs == "num_outputs":
            return _whole(attributes.get("num_outputs", ""), 1)
        if self.outputs == "ret_typ":
            return 2 if attributes.get("ret_typ") in ("both", "value") else 1
        if self.outputs == "quantized":
            eight_bits = attributes.get("quantized") in TRUE
            return QUANTIZED if eight_bits and not _gives_floats(attributes) else 1
        return int(self.outputs)


class Table(NamedTuple):
    """The content of the file.

    operators: by name. limits: (least, most) of attributes. words: the values of attributes.
    """

    operators: Dict[str, Operator]
    limits: Dict[str, Tuple[int, int]]
    words: Dict[str, List[str]]

    def check_attribute(self, key: str, value: str) -> Optional[str]:
        """Returns what is expected of an attribute as text, or None if its value is right."""
        numbers = _words(value)
        if len(numbers) > MOST_NUMBERS:
            return f"at most {MOST_NUMBERS} numbers"
        if key in self.words:
            right = value in self.words[key]
            return None if right else " or ".join(self.words[key])
        if key in self.limits:
            least, most = self.limits[key]
            right = all(
                word == "None" or least <= _whole(word, least - 1) <= most for word in numbers
            )
            return None if right and numbers else f"whole numbers from {least} to {most}"
        wholes = [word for word in numbers if WHOLE.fullmatch(word)]
        right = all(abs(_whole(word, LARGEST + 1)) <= LARGEST for word in wholes)
        return None if right else f"whole numbers up to {LARGEST}"


def read_table() -> Table:
    """Returns the table."""
    operators: Dict[str, Operator] = {}
    limits: Dict[str, Tuple[int, int]] = {}
    words: Dict[str, List[str]] = {}
    for line in FILE.read_text(encoding="utf-8").splitlines():
        head, _, names = line.partition(":")
        kind, *values = head.split() or [""]
        if kind == "operators":
            operators.update(dict.fromkeys(names.split(), Operator(*values)))
        elif kind == "limits":
            limits.update(dict.fromkeys(names.split(), (int(values[0]), int(values[1]))))
        elif kind == "words":
            words.update(dict.fromkeys(names.split(), values[0].split(",")))
    return Table(operators, limits, words)


def _words(value: str) -> List[str]:
    return [word for word in re.split(r"[\[\](), ]", value) if word]


def _input_count(word: str, attributes: Dict[str, str]) -> int:
    if word == "labelled":
        return 2 + _whole(attributes.get("labelled", ""), 0)
    if word in ("no_bias", "bias"):
        without = attributes.get("no_bias", str(word == "bias")) not in FALSE
        return 2 if without else 3
    if word == "residual":
        return _input_count("no_bias", attributes) + (attributes.get(word) in TRUE)
    if word == "levels":
        return 1 + 3 * _whole(attributes.get("levels", ""), 1)
    if word == "strides":
        return 1 + len(_words(attributes.get("strides", "")))
    return _whole(attributes.get(word, ""), 1)


def _whole(text: str, default: int) -> int:
    """Returns the number that a text is, or ``default`` if it is none or has too many digits."""
    right = WHOLE.fullmatch(text) and len(text) <= MOST_DIGITS
    return int(text.rstrip("L")) if right else default


def _gives_floats(attributes: Dict[str, str]) -> bool:
    return attributes.get("enable_float_output") in TRUE
