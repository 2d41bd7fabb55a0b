"""The plugins of a run, copied into its folder and into each of its checkpoints.

    plugins/0123456789ab/mine.py      a plugin
    plugins/0123456789ab/_helper.py   a file beside it that it imports

The digits are those of the sha256 of what is copied from one folder. The same plugins therefore
have the same names in every run, and plugins of an earlier version stay beside those of a later one
without being imported: a config imports only the copies that it lists.

A plugin's copy is complete with the files in its own folder that it imports, at its top or within a
function: ``from . import _helper``, ``from ._helper import x``, and ``import _helper`` of a single
file. A plugin that is a package is copied with all its Python files. Modules that are installed,
and files that are no Python, are not copied.
"""

import ast
import hashlib
import os
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from detkit.errors import ConfigError
from detkit.files.disk import make_folder, whole_file

FOLDER = "plugins"  # of a run and of a checkpoint
PACKAGE = "__init__.py"
MOST_FILES = 1000
_DIGITS = 12


class Copies(NamedTuple):
    """The copies of the plugins of a run.

    listed: the paths of the plugins, relative to the run's folder, for its config.
    files: {relative path: content} of the plugins and of what they import.
    """

    listed: List[str]
    files: Dict[str, bytes]


def copies_of(plugin_files: Sequence[str]) -> Copies:
    """Returns the copies of imported plugins.

    plugin_files: absolute paths, as in a PluginReport; that of a package is its ``__init__.py``.

    Raises ConfigError for a file that cannot be read or has no name that can be written, and for
    more than MOST_FILES of one folder.
    """
    result = Copies([], {})
    roots = [_root_of(path) for path in plugin_files]
    for root in dict.fromkeys(roots):
        own = [path for path, its in zip(plugin_files, roots) if its == root]
        content = {_name_of(path, root): _read(path) for path in _needed(own, root)}
        folder = f"{FOLDER}/{_digest(content)}"
        listed = [f"{folder}/{_name_of(path, root)}" for path in own]
        result.listed.extend(path for path in listed if path not in result.listed)
        result.files.update({f"{folder}/{name}": data for name, data in content.items()})
    return result


def write_copies(folder: str, copies: Copies) -> None:
    """Writes the copies into the folder of a run; those that are there stay. Raises DetkitError."""
    for name, data in copies.files.items():
        path = Path(folder, name)
        if not (path.is_file() and path.read_bytes() == data):
            make_folder(path.parent)
            with whole_file(path) as part:
                part.write_bytes(data)


def name_in_folder(path: str) -> Optional[Tuple[str, str]]:
    """Returns the digits and the name below them of a copy's relative path; None of another path.

    ('0123456789ab', 'mine.py') of 'plugins/0123456789ab/mine.py'.
    """
    folder, _, rest = path.partition("/")
    digits, _, name = rest.partition("/")
    is_copy = folder == FOLDER and len(digits) == _DIGITS and set(digits) <= set("0123456789abcdef")
    return (digits, name) if is_copy and name else None


def _root_of(path: str) -> str:
    """Returns the folder that a plugin is in; of a package, the one that its folder is in."""
    folder = os.path.dirname(path)
    return os.path.dirname(folder) if os.path.basename(path) == PACKAGE else folder


def _needed(plugins: Sequence[str], root: str) -> List[str]:
    """Returns the paths of plugins in ``root`` and of what they import there, sorted."""
    found: Dict[str, None] = {}
    waiting = list(plugins)
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found[path] = None
        waiting += _imported(path, root)
        if os.path.basename(path) == PACKAGE:
            waiting += map(str, Path(path).parent.rglob("*.py"))
        if len(found) > MOST_FILES:
            raise ConfigError(
                f"{root}: expected at most {MOST_FILES} files of plugins, which are copied into "
                "the run, found more; install the package, and list its module in the config: "
                "plugins: [MODULE]"
            )
    return sorted(found)


def _imported(path: str, root: str) -> List[str]:
    """Returns the paths of the files below ``root`` that a Python file imports."""
    try:
        tree = ast.parse(_read(path))
    except (SyntaxError, ValueError):  # a file of a package that nothing imports
        return []
    places = [place for node in ast.walk(tree) for place in _places(node, os.path.dirname(path))]
    inside = [place for place in places if place.startswith(root + os.sep)]
    return [place for place in inside if os.path.isfile(place)]


def _places(node: ast.AST, folder: str) -> Iterator[str]:
    """Yields where the modules of an import in a file of ``folder`` may be."""
    if isinstance(node, ast.Import):
        yield from (os.path.join(folder, f"{alias.name}.py") for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield os.path.join(folder, f"{node.module}.py")
    elif isinstance(node, ast.ImportFrom):
        above = os.path.normpath(os.path.join(folder, *[os.pardir] * (node.level - 1)))
        parts = node.module.split(".") if node.module else []
        packages = [os.path.join(above, *parts[: count + 1]) for count in range(len(parts))]
        within = packages[-1] if packages else above
        for stem in (*packages, *(os.path.join(within, alias.name) for alias in node.names)):
            yield f"{stem}.py"
            yield os.path.join(stem, PACKAGE)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: the plugin cannot be copied: {error.strerror}") from error


def _name_of(path: str, root: str) -> str:
    name = os.path.relpath(path, root).replace(os.sep, "/")
    if not name.isprintable():
        raise ConfigError(
            f"{root}: expected names of plugins without line breaks, found {name!r}; rename it"
        )
    return name


def _digest(content: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, data in sorted(content.items()):
        digest.update(f"{name}\n{len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()[:_DIGITS]
