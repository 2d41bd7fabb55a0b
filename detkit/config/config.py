"""Reads a config file into one mapping that knows the origin of every value.

    config = load_config("configs/faster_rcnn_vgg16.yaml", ["train.epochs=2"])
    config["train"].where("epochs")           # '--set train.epochs=2'

``_base_`` names the file or files to inherit from: a path relative to the config, or the name of a
config (names.py). Mappings are merged; lists and scalars replace
the inherited value. ``_delete_: true`` in a mapping drops the keys that the mapping inherits. The
code that uses a mapping also checks its keys (``check_keys``, ``construct``), so that a
misspelt key is always refused.
"""

import os
from typing import TYPE_CHECKING, Any, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from detkit.config.names import find_base, find_config, is_shipped
from detkit.config.nodes import Node, NodeList, display_path, join_path, place
from detkit.config.types import describe, matches, shown
from detkit.config.yaml import dump_yaml, parse_yaml, read_yaml
from detkit.errors import ConfigError
from detkit.wording import did_you_mean

if TYPE_CHECKING:
    from detkit.plugins import PluginReport


MOST_FILES = 100  # of a config with its bases; bases of bases grow exponentially


class Config(Node):
    """The root of a loaded config.

    file: the absolute path of the file.
    project_root: the file's own folder if it holds a folder ``plugins``; otherwise the nearest
        folder that holds ``plugins`` beside a folder ``configs`` in which the file lies; otherwise
        the file's own folder. A shipped config that was found by its name belongs to no folder of
        its own, and to the project in the working directory.
    foreign_plugins: the other folders ``plugins`` above the file. They may be those of a shared
        folder that somebody else writes to, and are not imported.
    plugin_report: the result of import_plugins; None until detkit.build.open_config has called it.
    """

    def __init__(
        self, node: Node, file: Union[str, "os.PathLike[str]"], project: Optional[str] = None
    ) -> None:
        super().__init__("", display_path(file))
        self.update(node)
        self.origins = dict(node.origins)
        self.inherited = node.inherited
        self.file = os.path.abspath(file)
        found = (project, ()) if project else _project(os.path.dirname(self.file))
        self.project_root, self.foreign_plugins = found
        self.plugin_report: Optional[PluginReport] = None


def load_config(path: Union[str, "os.PathLike[str]"], overrides: Iterable[str] = ()) -> Config:
    """Reads a config file with its bases, then applies the 'a.b=c' overrides in order.

    path: a path, or the name of a config (`find_config`).

    Raises ConfigError, with the place, for a file or an override that is wrong.
    """
    file = find_config(path)
    named = file != os.fspath(path)
    project = os.getcwd() if named and is_shipped(file) else None
    config = Config(_load(os.path.abspath(file), (), []), file, project)
    for override in overrides:
        _override(config, override)
    return config


def dump_config(config: Mapping[str, Any], plugins: Sequence[str] = ()) -> str:
    """Returns the resolved config as YAML text, from which ``load_config`` reads the same values.

    plugins: the paths that replace the files listed under ``plugins``, relative to the folder that
        the text is written into: detkit.plugins.Copies.listed. Modules that are listed are kept.
    """
    values = to_plain(config)
    if plugins:
        modules = [entry for entry in values.get("plugins") or () if not is_plugin_file(entry)]
        values["plugins"] = [*plugins, *modules]
    return dump_yaml(values)


def to_plain(value: Any) -> Any:
    """Returns a deep copy made of plain dicts and lists, without origins."""
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    return [to_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def is_plugin_file(entry: str) -> bool:
    """Returns whether an entry of ``plugins:`` is a file's path and not a dotted module name."""
    return entry.endswith(".py") or "/" in entry or os.sep in entry


def check_keys(node: Mapping[str, Any], accepted: Iterable[str]) -> None:
    """Raises ConfigError for a key of ``node`` that is not in ``accepted``, unless it is null.

    A config writes null to drop an inherited section that its own detector does not have.
    """
    accepted = list(accepted)
    for key in node:
        if key not in accepted and node[key] is not None:
            raise ConfigError(unknown_key(node, key, accepted))


def unknown_key(
    node: Mapping[str, Any],
    key: str,
    accepted: Iterable[str],
    listed: Optional[Iterable[str]] = None,
) -> str:
    """Returns the message about an unknown key: the near match, the accepted keys and the remedy.

    ``listed`` holds the accepted keys as the message shows them, for example with their defaults.
    """
    accepted = list(accepted)
    lines = [f"{place(node, key)}: unknown key {key!r}{did_you_mean(key, accepted)}"]
    lines.append(f"  accepted: {', '.join(listed or accepted) or '(none)'}")
    if isinstance(node, Node) and key in node.inherited:
        type_place = node.where("type")
        if type_place.startswith("--set"):
            remedy = (
                f"to replace the whole mapping, use --set '{node.path}={{type: {node['type']}}}'"
            )
        else:
            remedy = f"to drop inherited keys, write `_delete_: true` beside `type` ({type_place})"
        lines.append(f"  {key!r} was inherited; {remedy}")
    return "\n".join(lines)


def require(node: Mapping[str, Any], key: str, kind: Any = None) -> Any:
    """Returns ``node[key]``.

    kind: an annotation that the value must fit: int, float, str, bool, dict, list, or one of
        typing's combinations of them. None accepts every value.

    Raises ConfigError if the key is missing or the value does not fit.
    """
    if key not in node:
        raise ConfigError(f"{place(node)}: the key {key!r} is missing{did_you_mean(key, node)}")
    if kind is not None and not matches(node[key], kind):
        raise ConfigError(
            f"{place(node, key)}: expected {describe(kind)}, found {shown(node[key])}"
        )
    return node[key]


def _project(folder: str) -> Tuple[str, Tuple[str, ...]]:
    """Returns the root of the project of a config in ``folder``, and its ``foreign_plugins``."""
    root: Optional[str] = None
    others: List[str] = []
    below, parent = "", folder  # a parent, and the name of the folder in it that led here
    while True:
        plugins = os.path.join(parent, "plugins")
        if os.path.isdir(plugins):
            if root is None and below in ("", "configs"):
                root = parent
            else:
                others.append(plugins)
        if parent == os.path.dirname(parent):
            return root or folder, tuple(others)
        parent, below = os.path.split(parent)


def _load(file: str, children: Tuple[str, ...], loaded: List[str]) -> Node:
    """Reads ``file`` over its bases.

    children: the real paths of the files that led here. loaded: all files that were read so far.
    """
    loaded.append(file)
    root = read_yaml(file)
    if not isinstance(root, Node):
        # The content of a base is not shown: a config may name any file of the user.
        content = "text or a list" if children else shown(root)
        found = "an empty file" if root is None else f"{content} at the top level"
        raise ConfigError(
            f"{display_path(file)}: expected a mapping of keys to values, found {found}"
        )
    origin = root.where("_base_")
    children = (*children, os.path.realpath(file))
    bases = root.pop("_base_", [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise ConfigError(
            f"{origin}: _base_: expected a path or a list of paths, found {shown(bases)}"
        )
    inherited = Node()
    for base in bases:
        path = find_base(base, file, origin, children)
        if len(loaded) >= MOST_FILES:
            raise ConfigError(
                f"{origin}: _base_: expected at most {MOST_FILES} files in all, found more; "
                "inherit from fewer"
            )
        inherited = _merge(inherited, _load(path, children, loaded), exclusive=True)
    return _merge(inherited, root)


def _merge(inherited: Node, node: Node, exclusive: bool = False) -> Node:
    """Returns ``node`` merged over ``inherited``.

    exclusive: whether a value that both set is an error. It is none if both inherit the value from
        the same line of a common base.
    """
    if node.replaces:
        inherited = Node()
    result = Node(node.path, node.origin)
    result.update(inherited)
    result.origins.update(inherited.origins)
    for key, value in node.items():
        both = isinstance(value, Node) and isinstance(inherited.get(key), Node)
        set_before = exclusive and key in inherited and not both
        if set_before and inherited.where(key) != node.where(key):
            raise ConfigError(
                f"{place(node, key)}: expected one base to set this key, found two, the other at "
                f"{inherited.where(key)}; keep it in one of them"
            )
        if isinstance(value, Node):
            value = _merge(inherited[key] if both else Node(), value, exclusive)
        result.put(key, value, node.where(key))
    older = set(inherited) if "type" in node else inherited.inherited
    result.inherited = frozenset(older - set(node)) | node.inherited
    return result


def section(node: Node, key: str) -> Node:
    """Returns the mapping ``node[key]``, or an empty one if the key is missing or null.

    With an empty mapping every argument has its default. Raises ConfigError for another value.
    """
    if node.get(key) is None:
        return Node(join_path(node.path, key), node.where(key))
    mapping: Node = require(node, key, dict)
    return mapping


def _override(config: Config, text: str) -> None:
    """Applies one 'a.b=c'."""
    origin = f"--set {text}"
    path, equals, value = text.partition("=")
    *parents, last = keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(
            f"{origin}: expected KEY.KEY=VALUE, such as --set train.epochs=2, found {text!r}"
        )
    if not {"_base_", "_delete_"}.isdisjoint(keys):
        raise ConfigError(
            f"{origin}: expected a key of the config, found _base_ or _delete_; write these into a "
            "config file"
        )
    node: Any = config
    for key in parents:
        index = _index(node, key, origin)
        if isinstance(node, Node) and node.get(key) is None:
            node.put(key, Node(join_path(node.path, key), origin), origin)
        node = node[index]
    index = _index(node, last, origin)
    parsed = parse_yaml(value, lambda mark: origin, ".".join(keys))
    if isinstance(node, Node):
        older = set(node) if last == "type" else node.inherited
        node.inherited = frozenset(older - {last})
    node.put(index, parsed, origin)


def _index(node: object, key: str, origin: str) -> Union[str, int]:
    """Returns ``key`` as an index into ``node``: itself for a mapping, an int for a list."""
    if isinstance(node, Node):
        return key
    if not isinstance(node, NodeList):
        raise ConfigError(
            f"{origin}: expected a mapping or a list that holds {key!r}, found {shown(node)}"
        )
    if not (key.isdecimal() and int(key) < len(node)):
        raise ConfigError(
            f"{origin}: expected an index below {len(node)} into the list {node.path} of "
            f"{node.where()}, found {key!r}"
        )
    return int(key)
