"""Whether a value from a config fits a type annotation, and how a message says what would.

Only what YAML can hold is judged: int, float, bool, str, None, lists and mappings, in Optional,
Union, Sequence, List, Tuple and Literal. Every other annotation accepts every value.
"""

import collections.abc
import typing

_SCALARS = (bool, str, type(None))
_LISTS = (list, tuple, collections.abc.Sequence, collections.abc.Iterable)


def matches(value, hint):
    """Whether ``value`` fits ``hint``. An int is a float too; a bool is not an int."""
    origin, args = typing.get_origin(hint) or hint, typing.get_args(hint)
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


def describe(hint, several=False):
    """``hint`` in a reader's words: 'int or null', 'a list of float', 'a list of 2 (int, int)'.

    ``several`` makes the nouns plural: 'mappings', 'lists of float'.
    """
    origin, args = typing.get_origin(hint) or hint, typing.get_args(hint)
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
    return getattr(hint, "__name__", str(hint))


def shown(value):
    """``value`` and its type, as messages show what was found."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return f"a mapping with keys {', '.join(map(str, value)) or '(none)'}"
    kind = "list" if isinstance(value, (list, tuple)) else type(value).__name__
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({kind})"


def _elements_match(values, origin, args):
    if _fixed_length(origin, args):
        fits = len(values) == len(args)
        return fits and all(matches(value, arg) for value, arg in zip(values, args))
    return not args or all(matches(value, args[0]) for value in values)


def _describe_list(origin, args, several):
    lists = "lists" if several else "a list"
    if _fixed_length(origin, args):
        return f"{lists} of {len(args)} ({', '.join(describe(arg) for arg in args)})"
    element = args[0] if args and not isinstance(args[0], typing.TypeVar) else None
    return f"{lists} of {describe(element, several=True)}" if element else lists


def _fixed_length(origin, args):
    return origin is tuple and bool(args) and Ellipsis not in args
