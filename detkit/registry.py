"""The named parts a config can ask for: one registry for each kind.

    @BACKBONES.register("vgg16")
    class VGG16(HybridBlock): ...

    BACKBONES.build({"type": "vgg16", "frozen_stages": 2})

A config's keys are the keyword arguments of the part's constructor. They are checked against its
signature and its annotations before it is called, so that every mistake is reported with the
file and line it was made on.

A part may have parts of its own: a class says in ``PARTS`` {argument: registry, or class} which of
its arguments are built of sections within its own section. Its ``KEYS`` {argument: key} has those
whose key in a config is no name in Python.
"""

import contextlib
import functools
import inspect
import re
import sys
import typing

from detkit.config import place, require, unknown_key
from detkit.config.types import describe, matches, shown
from detkit.config.yaml import display_path
from detkit.errors import ConfigError, DetkitError
from detkit.wording import did_you_mean

FAILED_PLUGINS = []  # plugins.Failure, in the order of failing: a missing name may be one of theirs


class Entry(typing.NamedTuple):
    """A registered part and the place of its registration."""

    name: str
    target: typing.Callable
    file: str
    line: int

    @property
    def where(self):
        return f"{display_path(self.file)}:{self.line}"


class Registry:
    """The parts of one kind, by name.

    default: the name of the part that a section without ``type`` is for; None: ``type`` is needed.
    """

    def __init__(self, kind, default=None):
        self.kind, self.default = kind, default
        self._entries = {}

    def register(self, name=None, *, force=False):
        """A decorator that registers a class or function, under its own name unless one is given.

        Raises ConfigError when the name is taken, unless ``force`` replaces what holds it.
        """
        if name is not None and not isinstance(name, str):
            raise TypeError(f"expected a name or nothing, found {name!r}; write @....register()")
        caller = sys._getframe(1)
        file, line = caller.f_code.co_filename, caller.f_lineno

        def decorate(target):
            self._add(Entry(name or target.__name__, target, file, line), force)
            return target

        return decorate

    def _add(self, entry, force):
        known = self._entries.get(entry.name)
        if known and not force:
            raise ConfigError(
                f"{entry.where}: the {self.kind} {entry.name!r} is already registered at "
                f"{known.where}; choose another name, or register with force=True to replace it"
            )
        self._entries[entry.name] = entry

    @contextlib.contextmanager
    def temporarily(self):
        """A ``with`` block at the end of which everything is registered as it was before."""
        before = dict(self._entries)
        try:
            yield
        finally:
            self._entries = before

    def names(self):
        """Every registered name, sorted."""
        return sorted(self._entries)

    def entry(self, name, where=None):
        """The Entry of ``name``; ConfigError, beginning with ``where``, when there is none."""
        try:
            return self._entries[name]
        except (KeyError, TypeError):
            raise ConfigError(self._unknown(name, where)) from None

    def get(self, name, where=None):
        """The class or function registered as ``name``."""
        return self.entry(name, where).target

    def build(self, node, /, **derived):
        """Calls the part that ``node`` names by ``type`` with the rest of ``node`` and ``derived``.

        ``derived`` holds what detkit works out from other parts (channels, strides, number of
        classes), which a config therefore must not set. Raises ConfigError with the place.
        """
        if not isinstance(node, dict):
            raise ConfigError(
                f"a {self.kind} is a mapping with the key 'type', found {shown(node)}; "
                f"one of: {', '.join(self.names())}"
            )
        known = self.default is not None and node.get("type") is None
        name = self.default if known else require(node, "type")
        entry = self.entry(name, place(node, "type"))
        arguments = {key: value for key, value in node.items() if key != "type"}
        return _call(entry.target, node, arguments, derived, f"{entry.name} ({entry.where})")

    def _unknown(self, name, where):
        lines = [f"unknown {self.kind} {name!r}{did_you_mean(name, self._entries)}"]
        if where:
            lines[0] = f"{where}: {lines[0]}"
        lines.append(f"  registered: {', '.join(self.names()) or '(none)'}")
        if FAILED_PLUGINS:
            lines.append("  plugins that failed to import, any of which may define it:")
        for failure in FAILED_PLUGINS:
            lines.append(f"    {failure}")
            lines.extend(f"      {line}" for line in failure.traceback.splitlines())
        return "\n".join(lines)


def construct(target, node, /, **derived):
    """Calls ``target`` with the keys of ``node`` and ``derived``, checked as ``build`` does."""
    if not isinstance(node, dict):
        raise ConfigError(f"{_label(target)}: expected a mapping, found {shown(node)}")
    return _call(target, node, dict(node), derived, _label(target))


def signature(target):
    """The parameters a config may set: {name: inspect.Parameter}, and whether others pass too."""
    parameters = inspect.signature(target).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    accepted = {parameter.name: parameter for parameter in parameters if parameter.kind in named}
    return accepted, any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def _call(target, node, arguments, derived, label):
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
            f"{place(node)}: {label} needs the missing key{'s' * (len(missing) > 1)} "
            f"{', '.join(map(repr, missing))}; it takes: {', '.join(listed)}"
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
        # The constructor says which argument it refuses; the config knows where that was set.
        named = [key for key in plain if re.search(rf"\b{re.escape(key)}\b", str(error))]
        where = place(node, named[0]) if len(named) == 1 else place(node)
        raise ConfigError(f"{where}: {label}: {error}") from error


def _own_parts(sources, keys, node, hints):
    """{argument: part} of those of ``sources`` {argument: registry or class} that ``node`` names.

    A null stands for no part where the argument's annotation in ``hints`` allows it.
    """
    parts = {}
    for name, source in sources.items():
        key = keys.get(name, name)
        optional = type(None) in typing.get_args(hints.get(name))
        if key in node and not (node[key] is None and optional):
            own = require(node, key, dict)
            is_registry = isinstance(source, Registry)
            parts[name] = source.build(own) if is_registry else construct(source, own)
    return parts


def _check_derived(node, arguments, derived, label, accepted):
    """``accepted`` is None when the target takes any keyword."""
    for name, value in derived.items():
        if name in arguments:
            raise ConfigError(
                f"{place(node, name)}: detkit derives {name!r} (here {value!r}) from the other "
                "parts; remove the key"
            )
        if accepted is not None and name not in accepted:
            raise ConfigError(
                f"{place(node)}: {label} must accept the argument {name!r}, which detkit derives "
                f"from the other parts; derived here: {', '.join(derived)}"
            )


def _check_value(node, key, value, parameter, hint):
    unchecked = hint is None or (value is None and parameter.default is None)
    if not unchecked and not matches(value, hint):
        raise ConfigError(f"{place(node, key)}: expected {describe(hint)}, found {shown(value)}")


def _hints(target):
    """The annotations of what ``target`` calls; none when they cannot be resolved.

    Annotations only add checks, and a part may name types that exist for type checkers alone.
    """
    function = target.func if isinstance(target, functools.partial) else target
    try:
        return typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except (NameError, TypeError, AttributeError):
        return {}


def _with_default(key, parameter):
    empty = parameter.default is parameter.empty
    return f"{key} (required)" if empty else f"{key}={parameter.default!r}"


def _label(target):
    """'TrainingOptions (detkit/runner/options.py:12)'."""
    name = getattr(target, "__qualname__", repr(target))
    try:
        source = inspect.unwrap(target)
        _, line = inspect.getsourcelines(source)
        return f"{name} ({display_path(inspect.getsourcefile(source))}:{line})"
    except (OSError, TypeError):  # written in C, or typed at a prompt
        return name


BACKBONES = Registry("backbone")
NECKS = Registry("neck")
ANCHORS = Registry("anchor generator")
ASSIGNERS = Registry("assigner")
SAMPLERS = Registry("sampler")
ROI_EXTRACTORS = Registry("RoI extractor")
HEADS = Registry("head")
PROPOSALS = Registry("kind of proposals", default="Proposals")
POSTPROCESS = Registry("postprocessing", default="Postprocess")
DENSE_POSTPROCESS = Registry("postprocessing of one stage", default="DensePostprocess")
NMS = Registry("NMS")
LOSSES = Registry("loss")
DETECTORS = Registry("detector")
TRAIN_STEPS = Registry("training step")  # each under the name of the detector it trains
DATASETS = Registry("dataset")
TRANSFORMS = Registry("transform")
EVALUATORS = Registry("evaluator")
HOOKS = Registry("hook")
OPTIMIZERS = Registry("optimizer")
SCHEDULES = Registry("schedule")

REGISTRIES = {
    "backbone": BACKBONES,
    "neck": NECKS,
    "anchors": ANCHORS,
    "assigner": ASSIGNERS,
    "sampler": SAMPLERS,
    "roi_extractor": ROI_EXTRACTORS,
    "head": HEADS,
    "proposals": PROPOSALS,
    "postprocess": POSTPROCESS,
    "dense_postprocess": DENSE_POSTPROCESS,
    "nms": NMS,
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
