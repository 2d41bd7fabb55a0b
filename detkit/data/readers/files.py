"""The files of a dataset: images below a folder, and JSON and XML that are not trusted."""

import json
import os
from pathlib import Path
from typing import Any, List, Sequence, Tuple
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from detkit.data.images import SUFFIXES
from detkit.data.names import is_file, is_folder, path_below, relative_to
from detkit.errors import DataError


def require_folder(folder: Path, what: str) -> Path:
    """Returns the folder. Raises DataError if it is not there; ``what`` names its content.

    The message says where a relative path was looked for.
    """
    if not is_folder(folder):
        found = "a file" if is_file(folder) else "no such folder"
        raise DataError(
            f"{folder}{relative_to(folder)}: expected a folder with {what}, found {found}"
        )
    return folder


def files_below(folder: Path, suffixes: Sequence[str]) -> List[Path]:
    """Returns the files below a folder with one of these suffixes in any case, sorted.

    Hidden files and folders, such as macOS's ``._a.jpg``, are no part of a dataset. Links to
    folders are not followed: they may lead in a circle.
    """
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        seen = (name for name in names if not name.startswith("."))
        found += [Path(place, name) for name in seen if name.lower().endswith(tuple(suffixes))]
    return sorted(found)


def images_below(folder: Path) -> List[Path]:
    """Returns the image files below a folder, sorted. Raises DataError if there are none."""
    found = files_below(require_folder(folder, "images"), SUFFIXES)
    if not found:
        raise DataError(
            f"{folder}: expected a folder with images ({', '.join(SUFFIXES)}), found none"
        )
    return found


def name_below(path: Path, folder: Path) -> str:
    """Returns the name of a file below a folder, with "/".

    Bytes of it that are no UTF-8 are written as "\\udcff", so that the name can be printed.
    """
    name = path.relative_to(folder).as_posix()
    return name.encode("utf-8", "backslashreplace").decode()


def image_named(folder: Path, name: Any, where: str) -> Tuple[str, Path]:
    """Returns (name, path) of the image that an annotation names, below ``folder``.

    An annotation that was made elsewhere may name a folder of its own, such as
    ``C:\\photos\\a.jpg``. The file of that last name in the folder is then the image. Raises
    DataError for a name that leaves the folder, and for none.
    """
    if not isinstance(name, str) or not name.strip():
        raise DataError(f"{where}: expected the name of an image file, found {name!r}")
    name = name.strip().replace("\\", "/")
    last = name.rpartition("/")[2]
    if not is_file(folder / name.lstrip("/")) and last not in ("", "..") and is_file(folder / last):
        return last, folder / last
    while name.startswith("./"):
        name = name[2:]
    return name, path_below(folder, name, where)


def read_json(file: Path) -> Any:
    """Returns the value of a JSON file. Raises DataError, with the line of what is malformed."""
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        where = f"{file}{relative_to(file)}"
        raise DataError(f"{where}: cannot be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{file}:{error.lineno}: malformed JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, or lists nested too deeply
        raise DataError(f"{file}: expected a JSON file: {error}") from error


def read_xml(file: Path) -> Element:
    """Returns the root of an XML file. Raises DataError, with the line of what is malformed."""
    try:
        root: Element = fromstring(file.read_bytes())
        return root
    except ParseError as error:
        raise DataError(f"{file}:{error.position[0]}: malformed XML: {error}") from error
    except DefusedXmlException as error:
        raise DataError(
            f"{file}: expected XML without entities, found some ({error}); remove the DOCTYPE"
        ) from error
    except (OSError, ValueError, LookupError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from error


def field(where: str, entry: Any, key: str, kinds: Tuple[type, ...]) -> Any:
    """Returns ``entry[key]`` of a JSON object. Raises DataError unless it has such a type."""
    if not isinstance(entry, dict):
        raise DataError(f"{where}: expected an object, found {type(entry).__name__}")
    if type(entry.get(key)) not in kinds:
        expected = " or ".join(kind.__name__ for kind in kinds)
        found = repr(entry[key]) if key in entry else "nothing"
        raise DataError(f"{where}.{key}: expected {expected}, found {found:.200}")
    return entry[key]
