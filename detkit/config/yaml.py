"""Reads YAML text into plain values that know the file and the line that they come from.

The reader accepts the safe part of YAML: mappings, lists, and the scalars of the YAML 1.2 core
schema (null, true/false, integers, floats, strings). ``1e-3`` is therefore a float, and ``no``,
``on`` and ``2020-01-01`` are strings. ``${NAME}`` and ``${NAME:default}`` inside a string are
replaced by the environment variable NAME; ``$${`` is written for a literal ``${``.
"""

import os
import re
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple, Union

import yaml

from detkit.config.nodes import Node, NodeList, display_path, join_path
from detkit.errors import ConfigError

# Far above any real config. PyYAML needs seconds for a megabyte, and aliases grow exponentially.
MAX_BYTES = 1 << 19
MAX_VALUES = 20_000
MAX_DEPTH = 100

_TAG = "tag:yaml.org,2002:"
_FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
# tag: (pattern, the characters its text may begin with, text -> value). The first match wins.
_SCALARS: Dict[str, Tuple[str, List[str], Callable[[str], Any]]] = {
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


Where = Callable[[Optional[yaml.Mark]], str]  # a place in the text -> the place for a message


def read_yaml(file: Union[str, "os.PathLike[str]"]) -> Any:
    """Returns the value that a UTF-8 YAML file holds.

    Raises ConfigError, with the file, the line and the problem, for a file that cannot be read.
    """
    shown = display_path(file)
    try:
        with open(file, "rb") as stream:
            text = stream.read(MAX_BYTES + 1).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{shown}:{line}: expected UTF-8 text: {error.reason}") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{shown}: expected a YAML file, found a folder") from error
    except OSError as error:
        raise ConfigError(f"{shown}: cannot be read: {error.strerror}") from error
    return parse_yaml(text, lambda mark: f"{shown}:{mark.line + 1}" if mark else shown)


def parse_yaml(text: str, where: Where, path: str = "") -> Any:
    """Returns the value written in ``text``: a Node, a NodeList or a scalar; None if it is empty.

    where: a function from a YAML mark (None for the whole text) to the place that a message names.
    path: the key path of the value.

    Raises ConfigError for malformed text and for parts of YAML that are not accepted.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError(
            f"{where(None)}: expected at most {MAX_BYTES} bytes, found more; a config names files "
            "of data and does not hold them"
        )
    try:
        node = yaml.compose(text, _Loader)
    except _TooMany as error:
        raise ConfigError(
            f"{where(None)}: expected at most {MAX_VALUES} values, found more"
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = where(mark)
        if mark is not None and place != where(None):
            place = f"{place}:{mark.column + 1}"
        context = f" ({error.context})" if error.context else ""
        raise ConfigError(f"{place}: malformed YAML: {error.problem}{context}") from error
    except yaml.YAMLError as error:
        problem = str(error).splitlines()[0]
        raise ConfigError(f"{where(None)}: malformed YAML: {problem}") from error
    except RecursionError as error:
        raise ConfigError(
            f"{where(None)}: expected at most {MAX_DEPTH} levels, found text that is nested deeper"
        ) from error
    return None if node is None else _Builder(where).value(node, path, 0)


class _TooMany(Exception):
    """A text has more values than a config."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2."""

    yaml_implicit_resolvers = {}
    count = 0

    def compose_node(self, parent: Optional[yaml.Node], index: int) -> Optional[yaml.Node]:
        """Composes a value, and counts it."""
        self.count += 1
        if self.count > 2 * MAX_VALUES:  # keys count, too
            raise _TooMany
        node: Optional[yaml.Node] = super().compose_node(parent, index)
        return node


class _Dumper(yaml.SafeDumper):
    """A dumper that quotes a string which YAML 1.1 or 1.2 would read as another type.

    It writes a list of scalars on one line.
    """

    def represent_list(self, values: Iterable[Any]) -> yaml.SequenceNode:
        flat = not any(isinstance(value, (dict, list)) for value in values)
        return self.represent_sequence(_TAG + "seq", values, flow_style=flat)

    def represent_text(self, text: str) -> yaml.ScalarNode:
        # Other quotes would fold Unicode's own line ends into a space.
        style = '"' if _LINE_ENDS.search(text) else None
        return self.represent_scalar(_TAG + "str", text, style=style)


for _tag, (_pattern, _first, _read) in _SCALARS.items():
    if _first:
        _Loader.add_implicit_resolver(_tag, _PATTERNS[_tag], _first)
        _Dumper.add_implicit_resolver(_tag, _PATTERNS[_tag], _first)
_Dumper.add_representer(list, _Dumper.represent_list)
_Dumper.add_representer(str, _Dumper.represent_text)


def dump_yaml(values: Any) -> str:
    """Returns text that ``parse_yaml`` reads as the same plain values, keys in the same order."""
    text: str = yaml.dump(
        _escape(values),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=float("inf"),
    )
    return text


def _escape(value: Any) -> Any:
    """Returns ``value`` with every "${" of its strings escaped as "$${"."""
    if isinstance(value, dict):
        return {key: _escape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escape(item) for item in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


class _Builder:
    """A builder of values from composed YAML nodes; it counts them."""

    def __init__(self, where: Where) -> None:
        self.where = where
        self.count = 0

    def value(self, node: yaml.Node, path: str, depth: int) -> Any:
        self.count += 1
        if self.count > MAX_VALUES or depth > MAX_DEPTH:
            raise ConfigError(
                f"{self.where(None)}: expected at most {MAX_VALUES} values and {MAX_DEPTH} levels, "
                "found more; look for an alias (*name) that repeats itself"
            )
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return self.sequence(node, path, depth)
        return self.scalar(node, path)

    def origin(self, place: str, node: yaml.Node) -> str:
        """Returns the place of a value, with the environment variables that it is made from."""
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        names = [match["name"] for match in _ENV.finditer(text) if match["name"]]
        return place + "".join(f" (${{{name}}})" for name in names)

    def mapping(self, node: yaml.MappingNode, path: str, depth: int) -> Node:
        self.expect_tag(node, "map")
        result = Node(path, self.where(node.start_mark))
        for key_node, value_node in node.value:
            key = self.key(key_node)
            place = self.where(key_node.start_mark)
            if key in result:
                raise ConfigError(
                    f"{place}: {join_path(path, key)}: expected each key once in a mapping, found "
                    f"it also at {result.where(key)}; remove one of the two"
                )
            if key == "_base_" and path:
                raise ConfigError(
                    f"{place}: {join_path(path, key)}: expected _base_ at the top level, found it "
                    f"within {path}"
                )
            value = self.value(value_node, join_path(path, key), depth + 1)
            result.put(key, value, self.origin(place, value_node))
        if not isinstance(result.get("_delete_", False), bool):
            raise ConfigError(
                f"{result.where('_delete_')}: {join_path(path, '_delete_')}: expected true or "
                f"false, found {result['_delete_']!r}"
            )
        result.replaces = result.pop("_delete_", False)
        return result

    def key(self, node: yaml.Node) -> str:
        place = self.where(node.start_mark)
        if not isinstance(node, yaml.ScalarNode) or node.tag != _TAG + "str":
            found = node.value if isinstance(node, yaml.ScalarNode) else "a list or mapping"
            raise ConfigError(f"{place}: expected a string as key, found {found}; quote it")
        self.expect_text(node.value, place, "")
        if node.value == "<<":
            raise ConfigError(
                f"{place}: expected a string as key, found a merge key (<<); inherit through _base_"
            )
        return str(node.value)

    def sequence(self, node: yaml.SequenceNode, path: str, depth: int) -> NodeList:
        self.expect_tag(node, "seq")
        result = NodeList(path, self.where(node.start_mark))
        for index, item in enumerate(node.value):
            value = self.value(item, join_path(path, index), depth + 1)
            result.put(index, value, self.origin(self.where(item.start_mark), item))
        return result

    def scalar(self, node: yaml.Node, path: str) -> Any:
        tag, text = node.tag, node.value
        if tag == _TAG + "str":
            whole = _ENV.fullmatch(text)
            text = _ENV.sub(lambda match: self.reference(match, node, path), text)
            if whole and whole["name"] and text:
                tag = next(tag for tag, pattern in _PATTERNS.items() if pattern.match(text))
        place = self.where(node.start_mark)
        self.expect_text(text, place, path)
        if tag not in _SCALARS:
            self.expect_tag(node, "str")
        try:
            if _PATTERNS[tag].match(text):
                return _SCALARS[tag][2](text)
        except ValueError as error:  # an integer of thousands of digits
            raise ConfigError(f"{place}: {path}: {error}") from error
        raise ConfigError(f"{place}: {path}: expected {tag[len(_TAG) :]}, found {text!r}")

    def reference(self, match: "re.Match[str]", node: yaml.Node, path: str) -> str:
        """Returns the text that replaces one ``$``-reference."""
        name, default = match["name"], match["default"]
        if match[0] == "$${":
            return "${"
        place = f"{self.where(node.start_mark)}: {path}"
        if name is None:
            raise ConfigError(
                f"{place}: expected a reference ${{NAME}} or ${{NAME:default}}, found "
                f"{node.value!r}; write $${{ for a literal ${{"
            )
        value = os.environ.get(name, default)
        if value is None:
            raise ConfigError(
                f"{place}: expected the environment variable {name} or a default, found neither; "
                f"set the variable, or write ${{{name}:default}}"
            )
        return value

    def expect_text(self, text: str, place: str, path: str) -> None:
        """Raises ConfigError for half a surrogate pair, which no file and no terminal can hold."""
        if any("\ud800" <= character <= "\udfff" for character in text):
            where = f"{place}: {path}" if path else place
            raise ConfigError(f"{where}: expected text without surrogates, found {text!r}")

    def expect_tag(self, node: yaml.Node, kind: str) -> None:
        if node.tag != _TAG + kind:
            tag = node.tag.replace(_TAG, "!!")
            raise ConfigError(
                f"{self.where(node.start_mark)}: expected a mapping, a list, a string, a number, "
                f"true, false or null, found the YAML tag {tag}; remove it"
            )
