"""The named parts that a config can ask for: one registry for each kind.

    @BACKBONES.register("vgg16")
    class VGG16(HybridBlock): ...

    BACKBONES.build({"type": "vgg16", "frozen_stages": 2})

A config's keys are the keyword arguments of the part's constructor, which detkit/construct.py
checks and calls.
"""

import contextlib
import filecmp
import os
import sys
import typing
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, TypeVar

from detkit.config import display_path, place, require
from detkit.config.types import shown
from detkit.construct import call
from detkit.errors import ConfigError
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


def _is_copy(entry: Entry, known: Entry) -> bool:
    """Returns whether a part is the known one in a copy of its file, as a run has of a plugin."""
    if (entry.line, os.path.basename(entry.file)) != (known.line, os.path.basename(known.file)):
        return False
    try:
        return entry.file != known.file and filecmp.cmp(entry.file, known.file, shallow=False)
    except OSError:  # a file that is gone, or text that was executed without one
        return False


class Registry:
    """The parts of one kind, by name.

    default: the name of the part that a section without ``type`` is for. None: ``type`` is needed.
    """

    def __init__(self, kind: str, default: Optional[str] = None) -> None:
        self.kind, self.default = kind, default
        self._entries: Dict[str, Entry] = {}

    def register(
        self, name: Optional[str] = None, *, force: bool = False
    ) -> Callable[[Part], Part]:
        """Returns a decorator that registers a class or a function.

        name: the name to register; None takes the name of the class or function.
        force: whether to replace the part that has the name. Otherwise a name that is taken raises
            ConfigError, unless the part is the same one in a copy of its file.
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
        if known and not force and not _is_copy(entry, known):
            raise ConfigError(
                f"{entry.where}: expected a new name, found the {self.kind} {entry.name!r}, which "
                f"is registered at {known.where}; choose another name, or register with force=True"
            )
        self._entries[entry.name] = entry

    @contextlib.contextmanager
    def temporarily(self) -> Iterator[None]:
        """Returns a ``with`` block that restores the registered parts at its end."""
        before = dict(self._entries)
        try:
            yield
        finally:
            self._entries = before

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
        name = self.default
        if name is None or node.get("type") is not None:
            name = require(node, "type")
        entry = self.entry(name, place(node, "type"))
        arguments = {key: value for key, value in node.items() if key != "type"}
        return call(entry.target, node, arguments, derived, f"{entry.name} ({entry.where})")

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

REGISTRIES: Dict[str, Registry] = {
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
