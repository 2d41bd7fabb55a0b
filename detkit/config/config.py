"""A config file -> one mapping with every value's origin.

    config = load_config("configs/faster_rcnn_vgg16.yaml", ["train.epochs=2"])
    config["train"].where("epochs")           # '--set train.epochs=2'

``_base_`` names the file or files to inherit from: mappings merge, lists and scalars replace,
``_delete_: true`` in a mapping drops what was inherited there. The keys themselves are checked by
whoever uses them (``check_keys``, ``registry.construct``), so that a misspelt key cannot stay
unread.
"""

import copy
import os

from detkit.config.types import describe, matches, shown
from detkit.config.yaml import (
    Node,
    NodeList,
    display_path,
    dump_yaml,
    join_path,
    parse_yaml,
    read_yaml,
)
from detkit.errors import ConfigError
from detkit.wording import did_you_mean


class Config(Node):
    """The root of a loaded config.

    ``file`` is the absolute path it was read from. ``project_root`` is the nearest folder above
    it that holds a ``plugins`` folder, or else the file's own folder. ``plugin_report`` is what
    import_plugins said, once detkit.build.open_config has called it.
    """

    def __init__(self, node, file):
        super().__init__("", display_path(file))
        self.update(node)
        self.origins = dict(node.origins)
        self.inherited = node.inherited
        self.file = os.path.abspath(file)
        self.project_root = _project_root(os.path.dirname(self.file))
        self.plugin_report = None


def load_config(path, overrides=()):
    """Reads a config file with its bases, then applies 'a.b=c' overrides in order.

    Raises ConfigError, naming the place, for everything that is wrong with either.
    """
    config = Config(_load(os.path.abspath(os.fspath(path)), ()), path)
    for override in overrides:
        _override(config, override)
    return config


def dump_config(config, plugin_files=()):
    """The resolved config as YAML text; ``load_config`` reads the same values from it.

    ``plugin_files`` are written under ``plugins`` by absolute path (modules listed there stay), so
    that the text gives the same model from any folder.
    """
    values = to_plain(config)
    if plugin_files:
        modules = [entry for entry in values.get("plugins") or () if not is_plugin_file(entry)]
        values["plugins"] = [os.path.abspath(file) for file in plugin_files] + modules
    return dump_yaml(values)


def to_plain(value):
    """A deep copy in plain dicts and lists, without origins."""
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    return [to_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def is_plugin_file(entry):
    """Whether an entry of ``plugins:`` is a file path rather than a dotted module name."""
    return entry.endswith(".py") or "/" in entry or os.sep in entry


def leaves(node):
    """Yields (path, value, where) for every value of a Node or NodeList that is not a mapping.

    A list is one value when its elements are all scalars from one place; otherwise each of its
    elements is a value. Empty mappings count as values.
    """
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        if value and (isinstance(value, dict) or (isinstance(value, list) and not _flat(value))):
            yield from leaves(value)
        else:
            yield join_path(node.path, key), value, node.where(key)


def place(node, key=None):
    """'configs/a.yaml:12: backbone.depth': how a message names a key (or ``node`` itself)."""
    located = isinstance(node, (Node, NodeList))
    path = node.path if located else ""
    path = path if key is None else join_path(path, key)
    where = node.where(key) if located else ""
    return ": ".join(part for part in (where, path) if part) or "config"


def check_keys(node, accepted):
    """Refuses a key of ``node`` that is not in ``accepted``, unless it is null.

    By null a config drops a section that it inherits and its own detector does not have.
    """
    for key in node:
        if key not in accepted and node[key] is not None:
            raise ConfigError(unknown_key(node, key, accepted))


def unknown_key(node, key, accepted, listed=None):
    """The message for a key nobody reads: near match, accepted keys, and how to drop it.

    ``listed`` are the accepted keys as the message lists them (with defaults, say).
    """
    lines = [f"{place(node, key)}: unknown key {key!r}{did_you_mean(key, accepted)}"]
    lines.append(f"  accepted: {', '.join(listed or accepted) or '(none)'}")
    if key in getattr(node, "inherited", ()):
        type_place = node.where("type")
        if type_place.startswith("--set"):
            remedy = f"--set '{node.path}={{type: {node['type']}}}' replaces the whole mapping"
        else:
            remedy = f"`_delete_: true` beside `type` ({type_place}) drops inherited keys"
        lines.append(f"  {key!r} was inherited: {remedy}")
    return "\n".join(lines)


def require(node, key, kind=None):
    """``node[key]``; ConfigError when it is missing or does not fit the annotation ``kind``.

    ``kind`` is int, float, str, bool, dict, list or one of typing's combinations of them.
    """
    if key not in node:
        raise ConfigError(f"{place(node)}: the key {key!r} is missing{did_you_mean(key, node)}")
    if kind is not None and not matches(node[key], kind):
        raise ConfigError(
            f"{place(node, key)}: expected {describe(kind)}, found {shown(node[key])}"
        )
    return node[key]


def _project_root(folder):
    parent = folder
    while not os.path.isdir(os.path.join(parent, "plugins")):
        if parent == os.path.dirname(parent):
            return folder
        parent = os.path.dirname(parent)
    return parent


def _flat(values):
    scalars = not any(isinstance(value, (dict, list)) for value in values)
    return scalars and len(set(values.origins)) == 1


def _load(file, children):
    """Reads ``file`` over its bases; ``children`` are the real paths of the files that led here."""
    root = read_yaml(file)
    if not isinstance(root, Node):
        what = "is empty" if root is None else f"holds {shown(root)} at the top level"
        raise ConfigError(
            f"{display_path(file)}: the config {what}; expected a mapping of keys to values"
        )
    origin = root.where("_base_")
    children = (*children, os.path.realpath(file))
    bases = root.pop("_base_", [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise ConfigError(f"{origin}: _base_: expected a path or a list of paths")
    inherited = Node()
    for base in bases:
        path = os.path.normpath(os.path.join(os.path.dirname(file), base))
        _check_base(path, children, origin)
        inherited = _merge(inherited, _load(path, children), exclusive=True)
    return _merge(inherited, root)


def _check_base(path, children, origin):
    if os.path.realpath(path) in children:
        chain = " -> ".join(display_path(file) for file in (*children, os.path.realpath(path)))
        raise ConfigError(f"{origin}: _base_ goes in a circle: {chain}")
    if not os.path.exists(path):
        folder = os.path.dirname(path)
        names = os.listdir(folder) if os.path.isdir(folder) else ()
        hint = did_you_mean(os.path.basename(path), names)
        raise ConfigError(f"{origin}: _base_: no such file: {display_path(path)}{hint}")


def _merge(inherited, node, exclusive=False):
    """``node`` over ``inherited``; with ``exclusive`` no value may be set by both.

    The one exception is a value that both have from the same line of a common base.
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
                f"{place(node, key)}: two bases set this key, the other at "
                f"{inherited.where(key)}; keep it in one of them"
            )
        if isinstance(value, Node):
            value = _merge(inherited[key] if both else Node(), value, exclusive)
        result.put(key, value, node.where(key))
    older = set(inherited) if "type" in node else inherited.inherited
    result.inherited = frozenset(older - set(node)) | node.inherited
    return result


def section(node, key):
    """``node[key]``, or an empty mapping in its place: every argument then has its default."""
    if node.get(key) is None:
        return Node(join_path(node.path, key), node.where(key))
    return require(node, key, dict)


def without(node, *keys):
    """A copy of ``node`` without these keys, which remembers the places of the others."""
    rest = copy.copy(node)
    for key in keys:
        rest.pop(key, None)
    return rest


def _override(config, text):
    """Applies one 'a.b=c'."""
    origin = f"--set {text}"
    path, equals, value = text.partition("=")
    *parents, last = keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"{origin}: expected KEY.KEY=VALUE, such as --set train.epochs=2")
    if not {"_base_", "_delete_"}.isdisjoint(keys):
        raise ConfigError(f"{origin}: _base_ and _delete_ belong in a file, not in an override")
    node = config
    for key in parents:
        index = _index(node, key, origin)
        if isinstance(node, dict) and node.get(index) is None:
            node.put(index, Node(join_path(node.path, key), origin), origin)
        node = node[index]
    index = _index(node, last, origin)
    parsed = parse_yaml(value, lambda mark: origin, ".".join(keys))
    if isinstance(node, Node):
        older = set(node) if last == "type" else node.inherited
        node.inherited = frozenset(older - {last})
    node.put(index, parsed, origin)


def _index(node, key, origin):
    """``key`` as an index into ``node``: itself for a mapping, an int for a list."""
    if isinstance(node, Node):
        return key
    if not isinstance(node, NodeList):
        raise ConfigError(f"{origin}: {key!r} is looked up in {shown(node)}, which has no keys")
    if not (key.isdecimal() and int(key) < len(node)):
        raise ConfigError(
            f"{origin}: {key!r} is not an index into {node.path}, a list of {len(node)} "
            f"written at {node.where()}; the first element is 0"
        )
    return int(key)
