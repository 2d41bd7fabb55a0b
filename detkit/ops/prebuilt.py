"""The library that a platform wheel brings along, and whether it can be used on this machine.

tools/build_wheel.py writes it together with a manifest, which says what the library was made of.
Another MXNet or changed sources need another library, and detkit then compiles one.
"""

import ctypes
import json
import platform
import re
from pathlib import Path
from typing import Any, NamedTuple

from detkit.errors import DetkitError
from detkit.files.disk import sha256_of

MANIFEST = "prebuilt.json"  # beside the library
FORMAT, MOST_BYTES = 1, 4096
SHA256 = re.compile(r"[0-9a-f]{64}")


class PrebuiltError(DetkitError):
    """Says why the prebuilt library is not used."""


class Manifest(NamedTuple):
    """The content of MANIFEST, except the number of its format.

    sources: the digest of everything that the library is compiled from, ``Build.sources``.
    mxnet: the version of MXNet.
    machine: the processor's architecture, as ``platform.machine`` names it.
    glibc: the oldest version of glibc that the library runs with.
    compiler: the name and version of the compiler.
    sha256: of the library.
    """

    sources: str
    mxnet: str
    machine: str
    glibc: str
    compiler: str
    sha256: str

    def text(self) -> str:
        """Returns the content of the file."""
        return json.dumps({"format": FORMAT, **self._asdict()}, indent=1) + "\n"


def checked(library: Path, sources: str, mxnet: str) -> Manifest:
    """Returns the manifest of a prebuilt library that can be used on this machine.

    sources, mxnet: of the installed packages, see Manifest.

    Raises PrebuiltError if there is none, if it was made for another machine or of something else,
    if it is damaged, or if the system cannot load it.
    """
    path = library.with_name(MANIFEST)
    if not path.exists() and not library.exists():
        raise PrebuiltError("the package has no prebuilt library")
    manifest = read_manifest(path)
    here = {"machine": platform.machine(), "mxnet": mxnet, "sources": sources}
    for name, expected in here.items():
        found = getattr(manifest, name)
        if found != expected:
            raise PrebuiltError(f"{path}: {name}: expected {expected!r}, found {found!r}")
    try:
        found = sha256_of(library)
    except OSError as error:
        raise PrebuiltError(f"{library}: cannot be read: {error.strerror}") from error
    if found != manifest.sha256:
        raise PrebuiltError(f"{library}: expected sha256 {manifest.sha256}, found {found}")
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        raise PrebuiltError(f"{library}: the system cannot load it: {error}") from error
    return manifest


def read_manifest(path: Path) -> Manifest:
    """Returns the content of a manifest.

    Raises PrebuiltError if it cannot be read, or if a key is missing, unknown, given twice or of a
    wrong type.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES} bytes")
        content = json.loads(text.decode("ascii"), object_pairs_hook=_object)
    except OSError as error:
        raise PrebuiltError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise PrebuiltError(f"{path}: expected a JSON object, found {error}") from error
    number = content.pop("format", None) if isinstance(content, dict) else None
    if type(number) is not int or number != FORMAT:
        raise PrebuiltError(f"{path}: format: expected {FORMAT}, found {number!r}")
    if set(content) != set(Manifest._fields):
        names = ", ".join(sorted(set(content) ^ set(Manifest._fields)))
        raise PrebuiltError(f"{path}: missing or unknown keys: {names}")
    for name, value in content.items():
        if not isinstance(value, str):
            raise PrebuiltError(f"{path}: {name}: expected a string, found {value!r}")
    for name in ("sources", "sha256"):
        if not SHA256.fullmatch(content[name]):
            raise PrebuiltError(f"{path}: {name}: expected a sha256, found {content[name]!r}")
    return Manifest(**content)


def _object(pairs: Any) -> Any:
    """Returns a JSON object as a dict. Raises ValueError if it has a key twice."""
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key that is given twice")
    return content
