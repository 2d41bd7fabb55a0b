"""YAML text -> plain values that know the file and line they came from.

Only the safe part of YAML is read: mappings, lists, and the scalars of the YAML 1.2 core schema
(null, true/false, integers, floats, strings). So ``1e-3`` is a float, and ``no``, ``on`` and
``2020-01-01`` are the strings they look like. ``${NAME}`` and ``${NAME:default}`` inside a string
are replaced from the environment; ``$${`` stands for a literal ``${``.
"""

import os
import re

import yaml

from detkit.errors import ConfigError

MAX_VALUES = 100_000  # aliases of aliases grow exponentially; no honest config comes near this
MAX_DEPTH = 100

_TAG = "tag:yaml.org,2002:"
_FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
# tag: (pattern, the characters its text may begin with, text -> value). The first match wins.
_SCALARS = {
    _TAG + "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""], lambda text: None),
    _TAG + "bool": (
        r"true|True|TRUE|false|False|FALSE",
        list("tTfF"),
        lambda text: text.lower() == "true",
    ),
    _TAG + "int": (
        r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
        list("-+0123456789"),
        lambda text: int(text, {"0o": 8, "0x": 16}.get(text[:2], 10)),
    ),
    _TAG + "float": (
        _FLOAT + r"|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
        lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
    ),
    _TAG + "str": (r"(?s:.*)", [], str),
}
_PATTERNS = {tag: re.compile(rf"(?:{pattern})\Z") for tag, (pattern, _, _) in _SCALARS.items()}
_LINE_ENDS = re.compile("[\x85\u2028\u2029]")
# A literal "$${", a reference, or a "${" that is neither (refused).
_ENV = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_]\w*)(?::(?P<default>[^}]*))?\}|\$\{", re.ASCII)


class Node(dict):
    """A mapping of the config: a dict whose entries know where they were written.

    ``path`` is the dotted key path ('' at the root). ``replaces`` says that the mapping held
    ``_delete_: true``. ``inherited`` names the keys that were set before ``type`` was set anew:
    they may belong to another part.
    """

    def __init__(self, path="", origin="", replaces=False):
        super().__init__()
        self.path = path
        self.origin = origin
        self.origins = {}
        self.replaces = replaces
        self.inherited = frozenset()

    def where(self, key=None):
        """'configs/a.yaml:12' or '--set a.b=c': the place of ``key``, or of the mapping itself."""
        return self.origins.get(key, self.origin)

    def put(self, key, value, origin):
        """Sets ``key`` together with the place it was written at."""
        self[key] = value
        self.origins[key] = origin


class NodeList(list):
    """A list of the config: a list whose elements know where they were written."""

    def __init__(self, path="", origin=""):
        super().__init__()
        self.path = path
        self.origin = origin
        self.origins = []

    def where(self, index=None):
        """The place of the element at ``index``, or of the list itself."""
        known = index is not None and 0 <= index < len(self.origins)
        return self.origins[index] if known else self.origin

    def put(self, index, value, origin):
        """Sets the element at ``index``, or appends it when ``index`` is the length."""
        self[index : index + 1] = [value]
        self.origins[index : index + 1] = [origin]


def display_path(path):
    """``path`` as messages show it: relative when it lies below the working directory."""
    path = os.path.abspath(path)
    relative = os.path.relpath(path) if path.startswith(os.getcwd() + os.sep) else path
    return path if relative.startswith(os.pardir) else relative


def join_path(path, key):
    """The dotted path of ``key`` below ``path``."""
    return f"{path}.{key}" if path else str(key)


def read_yaml(file):
    """The value held by a UTF-8 YAML file; ConfigError names the file, the line and the problem."""
    shown = display_path(file)
    try:
        with open(file, "rb") as stream:
            text = stream.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{shown}:{line}: not UTF-8 text: {error.reason}") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{shown}: is a folder; expected a YAML file") from error
    except OSError as error:
        raise ConfigError(f"{shown}: cannot be read: {error.strerror}") from error
    return parse_yaml(text, lambda mark: f"{shown}:{mark.line + 1}" if mark else shown)


def parse_yaml(text, where, path=""):
    """The value written in ``text``: Node, NodeList or scalar; None when there is none.

    ``where`` turns a YAML mark (None for the whole text) into the place that messages name;
    ``path`` is the key path of the value.
    """
    try:
        node = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = where(mark) + (f":{mark.column + 1}" if where(mark) != where(None) else "")
        context = f" ({error.context})" if error.context else ""
        raise ConfigError(f"{place}: malformed YAML: {error.problem}{context}") from error
    except yaml.YAMLError as error:
        problem = str(error).splitlines()[0]
        raise ConfigError(f"{where(None)}: malformed YAML: {problem}") from error
    except RecursionError as error:
        raise ConfigError(f"{where(None)}: nested too deeply") from error
    return None if node is None else _Builder(where).value(node, path, 0)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2."""

    yaml_implicit_resolvers = {}


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or YAML 1.2 would read as something else; short lists on one line."""

    def represent_list(self, values):
        flat = not any(isinstance(value, (dict, list)) for value in values)
        return self.represent_sequence(_TAG + "seq", values, flow_style=flat)

    def represent_text(self, text):
        # Other quotes would fold Unicode's own line ends into a space.
        style = '"' if _LINE_ENDS.search(text) else None
        return self.represent_scalar(_TAG + "str", text, style=style)


for _tag, (_, _first, _) in _SCALARS.items():
    if _first:
        _Loader.add_implicit_resolver(_tag, _PATTERNS[_tag], _first)
        _Dumper.add_implicit_resolver(_tag, _PATTERNS[_tag], _first)
_Dumper.add_representer(list, _Dumper.represent_list)
_Dumper.add_representer(str, _Dumper.represent_text)


def dump_yaml(values):
    """Text that ``parse_yaml`` reads back as the same plain values, keys in the same order."""
    return yaml.dump(
        _escape(values),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=float("inf"),
    )


def _escape(value):
    """``value`` with its literal "${" written so that they stay literal."""
    if isinstance(value, dict):
        return {key: _escape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escape(item) for item in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


class _Builder:
    """Builds values from composed YAML nodes, counting them."""

    def __init__(self, where):
        self.where = where
        self.count = 0

    def value(self, node, path, depth):
        self.count += 1
        if self.count > MAX_VALUES or depth > MAX_DEPTH:
            raise ConfigError(
                f"{self.where(None)}: more than {MAX_VALUES} values or {MAX_DEPTH} levels; "
                "look for an alias (*name) that repeats itself"
            )
        build = {
            yaml.ScalarNode: self.scalar,
            yaml.MappingNode: self.mapping,
            yaml.SequenceNode: self.sequence,
        }
        return build[type(node)](node, path, depth)

    def origin(self, place, node):
        """The place of a value, with the environment variables it is made from."""
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        names = [found["name"] for found in _ENV.finditer(text) if found["name"]]
        return place + "".join(f" (${{{name}}})" for name in names)

    def mapping(self, node, path, depth):
        self.expect_tag(node, "map")
        result = Node(path, self.where(node.start_mark))
        for key_node, value_node in node.value:
            key = self.key(key_node)
            place = self.where(key_node.start_mark)
            if key in result:
                raise ConfigError(
                    f"{place}: key {join_path(path, key)!r} is set twice in one mapping, "
                    f"before at {result.where(key)}; remove one"
                )
            if key == "_base_" and path:
                raise ConfigError(f"{place}: {join_path(path, key)}: _base_ is for the top level")
            value = self.value(value_node, join_path(path, key), depth + 1)
            result.put(key, value, self.origin(place, value_node))
        if not isinstance(result.get("_delete_", False), bool):
            raise ConfigError(f"{result.where('_delete_')}: _delete_ must be true or false")
        result.replaces = result.pop("_delete_", False)
        return result

    def key(self, node):
        place = self.where(node.start_mark)
        if not isinstance(node, yaml.ScalarNode) or node.tag != _TAG + "str":
            found = node.value if isinstance(node, yaml.ScalarNode) else "a list or mapping"
            raise ConfigError(f"{place}: a key must be a string, found {found}; quote it")
        if node.value == "<<":
            raise ConfigError(f"{place}: merge keys (<<) are not read; inherit through _base_")
        return node.value

    def sequence(self, node, path, depth):
        self.expect_tag(node, "seq")
        result = NodeList(path, self.where(node.start_mark))
        for index, item in enumerate(node.value):
            value = self.value(item, join_path(path, index), depth + 1)
            result.put(index, value, self.origin(self.where(item.start_mark), item))
        return result

    def scalar(self, node, path, depth):
        tag, text = node.tag, node.value
        if tag == _TAG + "str":
            whole = _ENV.fullmatch(text)
            text = _ENV.sub(lambda match: self.reference(match, node, path), text)
            if whole and whole["name"] and text:
                tag = next(tag for tag, pattern in _PATTERNS.items() if pattern.match(text))
        place = self.where(node.start_mark)
        if tag not in _SCALARS:
            self.expect_tag(node, "str")
        try:
            if _PATTERNS[tag].match(text):
                return _SCALARS[tag][2](text)
        except ValueError as error:  # an integer of thousands of digits
            raise ConfigError(f"{place}: {path}: {error}") from error
        raise ConfigError(f"{place}: {path}: {text!r} is not of type {tag[len(_TAG) :]}")

    def reference(self, match, node, path):
        """The text that stands for one ``$``-reference."""
        name, default = match["name"], match["default"]
        if match[0] == "$${":
            return "${"
        place = f"{self.where(node.start_mark)}: {path}"
        if name is None:
            raise ConfigError(
                f"{place}: malformed reference in {node.value!r}: expected ${{NAME}} or "
                "${NAME:default}; write $${ for a literal ${"
            )
        value = os.environ.get(name, default)
        if value is None:
            raise ConfigError(
                f"{place}: the environment variable {name} is not set and ${{{name}}} has no "
                f"default; set it, or write ${{{name}:default}}"
            )
        return value

    def expect_tag(self, node, kind):
        if node.tag != _TAG + kind:
            tag = node.tag.replace(_TAG, "!!")
            raise ConfigError(
                f"{self.where(node.start_mark)}: the YAML tag {tag} is not read; "
                "a config holds mappings, lists, strings, numbers, true/false and null"
            )
