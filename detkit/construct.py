"""Calls a class or function with the keys of a config's section, after checking them.

The keys are checked against the signature and the annotations of the target, so that every mistake
is reported with the file and the line where it was made. If the constructor refuses a value by a
ValueError that names the argument, that becomes a message with the place of the value.

A target may have parts of its own: ``PARTS`` {argument: registry, or class} says which of its
arguments are built from sections within its own section. ``KEYS`` {argument: key} lists the keys
of a config that are no names in Python.
"""

import functools
import inspect
import re
import typing
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from detkit.config import display_path, place, require, unknown_key
from detkit.config.types import describe, matches, shown
from detkit.errors import ConfigError, DetkitError


def construct(target: Callable[..., Any], node: Any, /, **derived: Any) -> Any:
    """Calls ``target`` with the keys of ``node`` and ``derived``, checked as in `build`."""
    if not isinstance(node, dict):
        raise ConfigError(f"{_label(target)}: expected a mapping, found {shown(node)}")
    return call(target, node, dict(node), derived, _label(target))


def signature(target: Callable[..., Any]) -> Tuple[Dict[str, inspect.Parameter], bool]:
    """Returns the named parameters of ``target`` and whether it takes any other keyword."""
    parameters = inspect.signature(target).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    accepted = {parameter.name: parameter for parameter in parameters if parameter.kind in named}
    return accepted, any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def call(
    target: Callable[..., Any],
    node: Mapping[str, Any],
    arguments: Mapping[str, Any],
    derived: Mapping[str, Any],
    label: str,
) -> Any:
    """Calls ``target`` with ``arguments`` from ``node`` and with ``derived``, after checking them.

    label: the name of the target in messages.
    """
    accepted, others_pass = signature(target)
    _check_derived(node, arguments, derived, label, None if others_pass else accepted)
    keys = getattr(target, "KEYS", {})
    accepted = {keys.get(n, n): each for n, each in accepted.items() if n not in derived}
    listed = [_with_default(key, parameter) for key, parameter in accepted.items()]
    hints = _hints(target)
    for key, value in arguments.items():
        if key not in accepted and not others_pass:
            raise ConfigError(f"{unknown_key(node, key, accepted, listed)}\n  of {label}")
        if key in accepted:
            _check_value(node, key, value, accepted[key], hints.get(key))
    required = [key for key, parameter in accepted.items() if parameter.default is parameter.empty]
    missing = [key for key in required if key not in arguments]
    if missing:
        raise ConfigError(
            f"{place(node)}: {label}: missing key{'s' * (len(missing) > 1)} "
            f"{', '.join(map(repr, missing))}; accepted: {', '.join(listed)}"
        )
    own = {n: source for n, source in getattr(target, "PARTS", {}).items() if n not in derived}
    parts = _own_parts(own, keys, node, hints)
    built = [keys.get(name, name) for name in parts]
    plain = {key: value for key, value in arguments.items() if key not in built}
    try:
        return target(**plain, **parts, **derived)
    except DetkitError:
        raise
    except (TypeError, ValueError) as error:
        where = _place_of_refusal(node, plain, str(error))
        raise ConfigError(f"{where}: {label}: {error}") from error


def _own_parts(
    sources: Mapping[str, Any],
    keys: Mapping[str, str],
    node: Mapping[str, Any],
    hints: Mapping[str, Any],
) -> Dict[str, Any]:
    """Builds the parts of a part; returns {argument: part} of the sections that ``node`` has.

    sources: {argument: registry or class}. A null stands for no part if the annotation of the
    argument in ``hints`` allows it.
    """
    parts = {}
    for name, source in sources.items():
        key = keys.get(name, name)
        optional = type(None) in typing.get_args(hints.get(name))
        if key in node and not (node[key] is None and optional):
            own = require(node, key, dict)
            build = getattr(source, "build", None)  # a registry's
            parts[name] = build(own) if build else construct(source, own)
    return parts


def _place_of_refusal(node: Mapping[str, Any], arguments: Mapping[str, Any], text: str) -> str:
    """Returns the place of the one key that a constructor's error names, or of ``node``.

    The constructor knows which argument it refuses, and the config knows where that was set.
    """
    named = [key for key in arguments if text.startswith(f"{key}: ")]
    named = named or [key for key in arguments if re.search(rf"\b{re.escape(key)}\b", text)]
    return place(node, named[0]) if len(named) == 1 else place(node)


def _check_derived(
    node: Mapping[str, Any],
    arguments: Mapping[str, Any],
    derived: Mapping[str, Any],
    label: str,
    accepted: Optional[Mapping[str, inspect.Parameter]],
) -> None:
    """Raises ConfigError for a derived argument that the config sets or the target does not take.

    accepted: the target's parameters; None if it takes any keyword.
    """
    for name, value in derived.items():
        if name in arguments:
            raise ConfigError(
                f"{place(node, name)}: expected no key {name!r}, which detkit derives from the "
                f"other parts (here {value!r}); remove the key"
            )
        if accepted is not None and name not in accepted:
            raise ConfigError(
                f"{place(node)}: {label}: expected the argument {name!r}, which detkit derives "
                f"from the other parts; add it to the part (derived: {', '.join(derived)})"
            )


def _check_value(
    node: Mapping[str, Any], key: str, value: Any, parameter: inspect.Parameter, hint: Any
) -> None:
    unchecked = hint is None or (value is None and parameter.default is None)
    if not unchecked and not matches(value, hint):
        raise ConfigError(f"{place(node, key)}: expected {describe(hint)}, found {shown(value)}")


def _hints(target: Callable[..., Any]) -> Dict[str, Any]:
    """Returns the annotations of ``target``'s arguments; none if they cannot be resolved.

    Annotations only add checks, and a part may name types that exist for type checkers alone.
    """
    function: Any = target.func if isinstance(target, functools.partial) else target
    try:
        hints = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except (NameError, TypeError, AttributeError):
        return {}
    # Below Python 3.11, a default of None makes an annotation Optional that does not say so.
    written = {name: parameter.annotation for name, parameter in signature(target)[0].items()}
    exact = {n: a for n, a in written.items() if inspect.isclass(a) and hints.get(n) == Optional[a]}
    return {**hints, **exact}


def _with_default(key: str, parameter: inspect.Parameter) -> str:
    empty = parameter.default is parameter.empty
    return f"{key} (required)" if empty else f"{key}={parameter.default!r}"


@functools.lru_cache(maxsize=None)  # to find the line, Python parses the whole file
def _label(target: Callable[..., Any]) -> str:
    """Returns the name of ``target`` and its place: 'TrainOptions (detkit/runner/options.py:9)'."""
    name = str(getattr(target, "__qualname__", repr(target)))
    try:
        source: Any = inspect.unwrap(target)
        _, line = inspect.getsourcelines(source)
        return f"{name} ({display_path(inspect.getfile(source))}:{line})"
    except (OSError, TypeError):  # written in C, or typed at a prompt
        return name
