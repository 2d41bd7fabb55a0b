"""Type annotations as the types of a config's values: the check, and the words for messages.

The check covers the types that YAML can hold: int, float, bool, str, None, lists and mappings, also
within Optional, Union, Sequence, List, Tuple and Literal. Every other annotation accepts every
value.
"""

import collections.abc
import typing
from typing import Any, Sequence, Tuple

_SCALARS = (bool, str, type(None))
_LISTS = (list, tuple, collections.abc.Sequence, collections.abc.Iterable)


def matches(value: Any, hint: Any) -> bool:
    """Returns whether ``value`` fits ``hint``. An int is a float too; a bool is not an int."""
    origin: Any = typing.get_origin(hint) or hint
    args = typing.get_args(hint)
    if origin is typing.Union:
        return any(matches(value, arg) for arg in args)
    if origin is typing.Literal:
        return any(value == arg and type(value) is type(arg) for arg in args)
    if origin in (int, float):
        numbers = (int,) if origin is int else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool)
    if origin in _SCALARS:
        return isinstance(value, origin)
    if origin in (dict, collections.abc.Mapping):
        return isinstance(value, dict)
    if origin in _LISTS:
        return isinstance(value, (list, tuple)) and _elements_match(value, origin, args)
    return True


def describe(hint: Any, several: bool = False) -> str:
    """Returns ``hint`` in words: 'int or null', 'a list of float', 'a list of 2 (int, int)'.

    several: whether the nouns are plural: 'mappings', 'lists of float'.
    """
    origin: Any = typing.get_origin(hint) or hint
    args = typing.get_args(hint)
    if origin is typing.Union:
        return " or ".join(describe(arg, several) for arg in args)
    if origin is typing.Literal:
        return " or ".join(repr(arg) for arg in args)
    if origin is type(None):
        return "null"
    if origin in (dict, collections.abc.Mapping):
        return "mappings" if several else "a mapping"
    if origin in _LISTS:
        return _describe_list(origin, args, several)
    return str(getattr(hint, "__name__", hint))


def shown(value: Any) -> str:
    """Returns ``value`` and its type in words: how a message names the value that was found."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return f"a mapping with keys {', '.join(map(str, value)) or '(none)'}"
    kind = "list" if isinstance(value, (list, tuple)) else type(value).__name__
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({kind})"


def _elements_match(values: Sequence[Any], origin: Any, args: Tuple[Any, ...]) -> bool:
    if _fixed_length(origin, args):
        fits = len(values) == len(args)
        return fits and all(matches(value, arg) for value, arg in zip(values, args))
    return not args or all(matches(value, args[0]) for value in values)


def _describe_list(origin: Any, args: Tuple[Any, ...], several: bool) -> str:
    lists = "lists" if several else "a list"
    if _fixed_length(origin, args):
        return f"{lists} of {len(args)} ({', '.join(describe(arg) for arg in args)})"
    element = args[0] if args and not isinstance(args[0], typing.TypeVar) else None
    return f"{lists} of {describe(element, several=True)}" if element else lists


def _fixed_length(origin: Any, args: Tuple[Any, ...]) -> bool:
    return origin is tuple and bool(args) and Ellipsis not in args
