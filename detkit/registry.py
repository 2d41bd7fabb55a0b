"""The named parts that a config can ask for: one registry for each kind.

    @BACKBONES.register("vgg16")
    class VGG16(HybridBlock): ...

    BACKBONES.build({"type": "vgg16", "frozen_stages": 2})

A config's keys are the keyword arguments of the part's constructor. They are checked against the
constructor's signature and annotations before it is called, so that every mistake is reported with
the file and the line where it was made.
"""

import functools
import inspect
import re
import sys
import typing
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple, TypeVar

from detkit.config import display_path, place, require, unknown_key
from detkit.config.types import describe, matches, shown
from detkit.errors import ConfigError, DetkitError
from detkit.wording import did_you_mean

if typing.TYPE_CHECKING:
    from detkit.plugins import Failure

Part = TypeVar("Part", bound=Callable[..., Any])

FAILED_PLUGINS: List["Failure"] = []  # the oldest first; each may define a name that is missing


class Entry(NamedTuple):
    """A registered part and the place of its registration."""

    name: str
    target: Callable[..., Any]
    file: str
    line: int

    @property
    def where(self) -> str:
        """The place of the registration, 'plugins/mine.py:12'."""
        return f"{display_path(self.file)}:{self.line}"


class Registry:
    """The parts of one kind, by name."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: Dict[str, Entry] = {}

    def register(
        self, name: Optional[str] = None, *, force: bool = False
    ) -> Callable[[Part], Part]:
        """Returns a decorator that registers a class or a function.

        name: the name to register; None takes the name of the class or function.
        force: whether to replace the part that has the name. Otherwise a name that is taken raises
            ConfigError.
        """
        if name is not None and not isinstance(name, str):
            raise TypeError(f"register: expected a name, found {name!r}; write @....register()")
        caller = sys._getframe(1)
        file, line = caller.f_code.co_filename, caller.f_lineno

        def decorate(target: Part) -> Part:
            self._add(Entry(name or target.__name__, target, file, line), force)
            return target

        return decorate

    def _add(self, entry: Entry, force: bool) -> None:
        known = self._entries.get(entry.name)
        if known and not force:
            raise ConfigError(
                f"{entry.where}: expected a new name, found the {self.kind} {entry.name!r}, which "
                f"is registered at {known.where}; choose another name, or register with force=True"
            )
        self._entries[entry.name] = entry

    def names(self) -> List[str]:
        """Returns every registered name, sorted."""
        return sorted(self._entries)

    def entry(self, name: str, where: Optional[str] = None) -> Entry:
        """Returns the Entry of ``name``.

        Raises ConfigError, which begins with ``where``, for an unknown name.
        """
        try:
            return self._entries[name]
        except (KeyError, TypeError):
            raise ConfigError(self._unknown(name, where)) from None

    def get(self, name: str, where: Optional[str] = None) -> Callable[..., Any]:
        """Returns the class or function registered as ``name``. Raises ConfigError if unknown."""
        return self.entry(name, where).target

    def build(self, node: Mapping[str, Any], /, **derived: Any) -> Any:
        """Calls the part that ``node`` names by ``type`` with the rest of ``node`` and ``derived``.

        derived: the arguments that detkit derives from other parts (channels, strides, number of
            classes). A config must not set them.

        Raises ConfigError, with the place, for a node that the part does not accept.
        """
        if not isinstance(node, dict):
            raise ConfigError(
                f"{self.kind}: expected a mapping with the key 'type', found {shown(node)}; "
                f"registered: {', '.join(self.names())}"
            )
        entry = self.entry(require(node, "type"), place(node, "type"))
        arguments = {key: value for key, value in node.items() if key != "type"}
        return _call(entry.target, node, arguments, derived, f"{entry.name} ({entry.where})")

    def _unknown(self, name: str, where: Optional[str]) -> str:
        lines = [f"unknown {self.kind} {name!r}{did_you_mean(name, self._entries)}"]
        if where:
            lines[0] = f"{where}: {lines[0]}"
        lines.append(f"  registered: {', '.join(self.names()) or '(none)'}")
        if FAILED_PLUGINS:
            lines.append("  plugins that failed to import and may define it:")
        for failure in FAILED_PLUGINS:
            lines.append(f"    {failure}")
            lines.extend(f"      {line}" for line in failure.traceback.splitlines())
        return "\n".join(lines)


def construct(target: Callable[..., Any], node: Any, /, **derived: Any) -> Any:
    """Calls ``target`` with the keys of ``node`` and ``derived``, checked as in `build`."""
    if not isinstance(node, dict):
        raise ConfigError(f"{_label(target)}: expected a mapping, found {shown(node)}")
    return _call(target, node, dict(node), derived, _label(target))


def signature(target: Callable[..., Any]) -> Tuple[Dict[str, inspect.Parameter], bool]:
    """Returns the named parameters of ``target`` and whether it takes any other keyword."""
    parameters = inspect.signature(target).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    accepted = {parameter.name: parameter for parameter in parameters if parameter.kind in named}
    return accepted, any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def _call(
    target: Callable[..., Any],
    node: Mapping[str, Any],
    arguments: Mapping[str, Any],
    derived: Mapping[str, Any],
    label: str,
) -> Any:
    accepted, others_pass = signature(target)
    _check_derived(node, arguments, derived, label, None if others_pass else accepted)
    for name in derived:
        accepted.pop(name, None)
    listed = [_with_default(parameter) for parameter in accepted.values()]
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
    try:
        return target(**arguments, **derived)
    except DetkitError:
        raise
    except (TypeError, ValueError) as error:
        where = _place_of_refusal(node, arguments, str(error))
        raise ConfigError(f"{where}: {label}: {error}") from error


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
        return typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except (NameError, TypeError, AttributeError):
        return {}


def _with_default(parameter: inspect.Parameter) -> str:
    empty = parameter.default is parameter.empty
    return f"{parameter.name} (required)" if empty else f"{parameter.name}={parameter.default!r}"


def _label(target: Callable[..., Any]) -> str:
    """Returns the name of ``target`` and its place: 'TrainOptions (detkit/runner/options.py:9)'."""
    name = str(getattr(target, "__qualname__", repr(target)))
    try:
        source: Any = inspect.unwrap(target)
        _, line = inspect.getsourcelines(source)
        return f"{name} ({display_path(inspect.getfile(source))}:{line})"
    except (OSError, TypeError):  # written in C, or typed at a prompt
        return name


BACKBONES = Registry("backbone")
NECKS = Registry("neck")
ANCHORS = Registry("anchor generator")
ASSIGNERS = Registry("assigner")
SAMPLERS = Registry("sampler")
ROI_EXTRACTORS = Registry("RoI extractor")
HEADS = Registry("head")
LOSSES = Registry("loss")
DETECTORS = Registry("detector")
TRAIN_STEPS = Registry("training step")  # each under the name of the detector it trains
DATASETS = Registry("dataset")
TRANSFORMS = Registry("transform")
EVALUATORS = Registry("evaluator")
HOOKS = Registry("hook")
OPTIMIZERS = Registry("optimizer")
SCHEDULES = Registry("schedule")

REGISTRIES: Dict[str, Registry] = {
    "backbone": BACKBONES,
    "neck": NECKS,
    "anchors": ANCHORS,
    "assigner": ASSIGNERS,
    "sampler": SAMPLERS,
    "roi_extractor": ROI_EXTRACTORS,
    "head": HEADS,
    "loss": LOSSES,
    "detector": DETECTORS,
    "train_step": TRAIN_STEPS,
    "dataset": DATASETS,
    "transform": TRANSFORMS,
    "evaluator": EVALUATORS,
    "hook": HOOKS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}
