"""Finds a config by its name: coco/mask_rcnn_r50_fpn is configs/coco/mask_rcnn_r50_fpn.yaml.

A name has neither ``configs/`` before it nor a suffix. The folder ``configs`` of the project has
priority over the configs that detkit ships.
"""

import os
import re
from pathlib import Path
from typing import Container, Dict, List, Optional, Sequence, Union

from detkit.config.nodes import display_path
from detkit.errors import ConfigError
from detkit.shipped import CONFIGS, folder
from detkit.wording import did_you_mean

SUFFIXES = (".yaml", ".yml")
MOST_READ = 4096  # characters of a file, in search of its title


def find_config(named: Union[str, "os.PathLike[str]"]) -> str:
    """Returns the path of a config that a command or a program names.

    A file that exists has priority over a name, and what ends with a suffix is no name. Names are
    looked for in ./configs, then among the configs that detkit ships. A path that is no name is
    returned as it is.

    Raises ConfigError, with the places that were looked at and the near match, for a name that
    nothing has, and for the path that a shipped config has in the checkout alone.
    """
    text = os.fspath(named)
    if os.path.isfile(text):
        return text
    if not is_name(text):
        _check_no_shipped(text)
        return text
    folders = (Path(CONFIGS), folder(CONFIGS))
    found = _first(text, folders)
    if found is None and not os.path.isdir(text):
        raise ConfigError(f"the config {text!r}: {_not_found(text, folders)}")
    return found or text


def find_base(base: str, file: str, origin: str, children: Sequence[str]) -> str:
    """Returns the path of a base of the config ``file``: a path relative to it, or a name.

    Names are looked for in the folder ``configs`` in which the file lies, or in the one beside it,
    then among the configs that detkit ships. The configs that inherit from the base are passed
    over, so that a config may extend the shipped one of its own name.

    origin: the place of ``base``. children: the real paths of the configs that inherit from it.

    Raises ConfigError for a base that there is not, one that is no config, and a circle.
    """
    path = os.path.normpath(os.path.join(os.path.dirname(file), base))
    if not is_name(base) or os.path.isfile(path):
        _check_base(path, children, origin)
        return path
    above = Path(file).parents
    own = next((path for path in above if path.name == CONFIGS), above[0] / CONFIGS)
    folders = (own, folder(CONFIGS))
    found = _first(base, folders, children)
    if found is None:
        raise ConfigError(f"{origin}: _base_: {base!r}: {_not_found(base, folders)}")
    return found


def is_name(text: str) -> bool:
    """Returns whether ``text`` can be the name of a config: relative, and without a suffix."""
    parts = Path(text).parts
    return bool(parts) and not text.endswith(SUFFIXES) and not {os.sep, os.pardir} & set(parts)


def names_of(configs: Path) -> Dict[str, Path]:
    """Returns {name: path} of the configs in a folder and below it, in the order of their names."""
    paths = [path for suffix in SUFFIXES for path in configs.rglob(f"*{suffix}")]
    named = {path.relative_to(configs).with_suffix("").as_posix(): path for path in paths}
    return dict(sorted(named.items()))


def title(path: Path) -> str:
    """Returns the first sentence of the comment that a config begins with, or ""."""
    comment = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file.read(MOST_READ).splitlines():
            if not line.startswith("#"):
                break
            comment.append(line.lstrip("# "))
    return re.split(r"(?<!\bal)[.:;](?:\s|$)", " ".join(comment))[0]


def is_shipped(path: Union[str, "os.PathLike[str]"]) -> bool:
    """Returns whether a file lies below the configs that detkit ships."""
    return folder(CONFIGS).resolve() in Path(path).resolve().parents


def _candidates(name: str, folders: Sequence[Path]) -> List[Path]:
    distinct: Dict[Path, Path] = {}
    for path in folders:
        distinct.setdefault(path.resolve(), path)
    return [path / (name + suffix) for path in distinct.values() for suffix in SUFFIXES]


def _first(name: str, folders: Sequence[Path], passed: Container[str] = ()) -> Optional[str]:
    """Returns the first file of that name that is not passed over, or None."""
    for path in _candidates(name, folders):
        if os.path.isfile(path) and os.path.realpath(path) not in passed:
            return str(path)
    return None


def _not_found(name: str, folders: Sequence[Path]) -> str:
    known = [known for path in folders for known in names_of(path)]
    looked = ", ".join(map(display_path, [Path(name), *_candidates(name, folders)]))
    return (
        f"expected a file or the name of a config, found neither{did_you_mean(name, known)}\n"
        f"  looked for: {looked}\n  detkit configs lists the names"
    )


def _check_no_shipped(path: str) -> None:
    """Raises ConfigError for the path that a shipped config has in the checkout."""
    name = Path(os.path.splitext(path)[0]).as_posix()
    name = name[len(CONFIGS) + 1 :] if name.startswith(f"{CONFIGS}/") else name
    if name in names_of(folder(CONFIGS)):
        raise ConfigError(
            f"{path}: no such file; the config that detkit ships is named without folder and "
            f"suffix: {name}"
        )


def _check_base(path: str, children: Sequence[str], origin: str) -> None:
    if not path.endswith(SUFFIXES):
        raise ConfigError(
            f"{origin}: _base_: expected a config, whose name ends with {' or '.join(SUFFIXES)}, "
            f"found {display_path(path)}"
        )
    if os.path.realpath(path) in children:
        chain = " -> ".join(display_path(file) for file in (*children, os.path.realpath(path)))
        raise ConfigError(
            f"{origin}: _base_: expected files that do not inherit from each other, found the "
            f"circle {chain}"
        )
    if not os.path.exists(path):
        parent = os.path.dirname(path)
        names = os.listdir(parent) if os.path.isdir(parent) else []
        hint = did_you_mean(os.path.basename(path), names)
        raise ConfigError(f"{origin}: _base_: no such file: {display_path(path)}{hint}")
