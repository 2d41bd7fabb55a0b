"""Annotations as the types of a config's values."""

from typing import Dict, List, Literal, Optional, Sequence, Tuple, Union

import pytest

from detkit.config.types import describe, matches, shown


@pytest.mark.parametrize(
    ("hint", "good", "bad", "text"),
    [
        (int, [0, -3], [1.0, True, "1", None], "int"),
        (float, [0, 0.5], [True, "1", None], "float"),
        (bool, [True], [1, "true", None], "bool"),
        (str, ["", "a"], [1, None], "str"),
        (Optional[int], [1, None], ["a", True], "int or null"),
        (Union[int, str], [1, "a"], [1.5, None], "int or str"),
        (list, [[], [1, "a"]], [1, "ab"], "a list"),
        (List, [[], [1, "a"]], ["ab"], "a list"),
        (Sequence[float], [[], [1, 0.5]], [[True], 1.0, "ab"], "a list of float"),
        (Tuple[int, int], [[1, 2]], [[1], [1, 2, 3], [1, "a"], 1], "a list of 2 (int, int)"),
        (Tuple[int, ...], [[], [1, 2]], [["a"]], "a list of int"),
        (List[Sequence[int]], [[[1], []]], [[1]], "a list of lists of int"),
        (Literal["a", 1], ["a", 1], ["b", True], "'a' or 1"),
        (Dict[str, int], [{}, {"a": 1}], [[], 1], "a mapping"),
        (object, [1, None, "a", []], [], "object"),
    ],
)
def test_values_are_matched_and_types_described(hint, good, bad, text):
    assert all(matches(value, hint) for value in good)
    assert not any(matches(value, hint) for value in bad)
    assert describe(hint) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "True (bool)"),
        ((1, 2), "(1, 2) (list)"),
        ({"a": 1, "b": 2}, "a mapping with keys a, b"),
        ({}, "a mapping with keys (none)"),
    ],
)
def test_values_are_shown_with_their_types(value, text):
    assert shown(value) == text


def test_a_long_value_is_cut():
    assert shown("x" * 100) == f"'{'x' * 56}... (str)"
