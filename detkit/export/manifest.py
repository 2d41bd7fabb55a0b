"""model.json of an exported detector: what the other files are, how an image becomes their input.

The C++ program in tools/deploy reads the same file.
"""

import json
import os
from typing import Any, Dict, List, NamedTuple, Optional

from detkit.errors import ExportError
from detkit.export.manifest_rules import MOST_BYTES, check_is_file, check_values
from detkit.export.strict_json import parse_json
from detkit.files.disk import sha256_of

FORMAT = 1
MANIFEST = "model.json"
SYMBOL, PARAMETERS = "model-symbol.json", "model-0000.params"
FLOAT32, BFLOAT16, INT8 = "float32", "bfloat16", "int8"  # precisions
ANY, VNNI = "any", "vnni"  # CPUs that INT8 is for
AGAIN = "export it again (tools/export.py)"


class Manifest(NamedTuple):
    """What model.json says, beside the format's number.

    detkit, mxnet: the versions that wrote it.
    classes: names; label l of the network is ``classes[l + first_label]``.
    inputs: names: images, sizes and, of a network that makes no proposals of its own, proposals
        (B, R, 4) in pixels of the input and proposal_scores (B, R), 1, or -1 for padding.
    outputs: of each a name and a shape, "B" the number of images and the number of rows the
        largest.
    resize: {short, long, like}, the arguments of detkit.data.resize, or None: as they are.
    pad_multiple: the sides of the input are multiples of it.
    ops, library: native, and the name of the file of operators; or mxnet and None.
    precision: of the layers, FLOAT32, BFLOAT16 or INT8.
    int8_for: of INT8, the CPUs that calculate it right: ANY or VNNI. Otherwise None.
    files: {name: sha256}.
    source: the config's name and its checkpoint's hash, where they are known.
    """

    detkit: str
    mxnet: str
    classes: List[str]
    first_label: int
    inputs: List[str]
    outputs: List[Dict[str, Any]]
    resize: Optional[Dict[str, Any]]
    pad_multiple: int
    ops: str
    library: Optional[str]
    precision: str
    int8_for: Optional[str]
    files: Dict[str, str]
    source: Dict[str, Optional[str]]

    def text(self):
        """The content of the file."""
        return json.dumps({"format": FORMAT, **self._asdict()}, indent=1, ensure_ascii=False) + "\n"


TYPES = {
    **dict.fromkeys(("detkit", "mxnet", "ops", "precision"), "a text"),
    **dict.fromkeys(("classes", "inputs", "outputs"), "a list"),
    **dict.fromkeys(("first_label", "pad_multiple"), "a whole number"),
    **dict.fromkeys(("files", "source"), "a mapping"),
    "resize": "a mapping or null",
    **dict.fromkeys(("library", "int8_for"), "a text or null"),
}
WORDS = {
    "a text": str,
    "a list": list,
    "a whole number": int,
    "a mapping": dict,
    "null": type(None),
}


def read_manifest(folder):
    """The Manifest of a folder, after a look at every file it names.

    Raises ExportError for a folder that is no export, one of another format, and a file that is
    missing, truncated or another.
    """
    manifest = parse_manifest(folder)
    for name, digest in manifest.files.items():
        check_file(os.path.join(folder, name), digest)
    return manifest


def parse_manifest(folder):
    """The Manifest of a folder, by its text alone; the errors of ``read_manifest``."""
    path = os.path.join(folder, MANIFEST)
    check_is_file(path)
    try:
        with open(path, "rb") as file:
            content = parse_json(file.read(MOST_BYTES + 1), path, MOST_BYTES)
    except FileNotFoundError as error:
        raise ExportError(
            f"{path}: there is no such file; expected the folder that tools/export.py wrote"
        ) from error
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error}; {AGAIN}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if type(found) is not int or found != FORMAT:
        raise ExportError(
            f"{path}: its format is {found!r}, and this detkit reads {FORMAT}; use the detkit that "
            f"wrote it, or {AGAIN}"
        )
    # Before the key was there, INT8 was made for VNNI.
    content.setdefault("int8_for", VNNI if content.get("precision") == INT8 else None)
    for name, expected in TYPES.items():
        types = tuple(WORDS[word] for word in expected.split(" or "))
        if name not in content or not isinstance(content[name], types):
            wrong = repr(content[name]) if name in content else "nothing"
            raise ExportError(f"{path}: {name}: expected {expected}, found {wrong}; {AGAIN}")
    _check_names(path, content)
    check_values(path, content)
    return Manifest(**{name: content[name] for name in Manifest._fields})


def _check_names(path, content):
    """Files lie in the folder itself: a name that leads elsewhere is not followed."""
    needed = [SYMBOL, PARAMETERS] + [content["library"]] * (content["library"] is not None)
    for name in needed:
        if name not in content["files"]:
            raise ExportError(f"{path}: files: {name} is missing; {AGAIN}")
    for name, digest in content["files"].items():
        if os.path.basename(name) != name or not isinstance(digest, str):
            raise ExportError(
                f"{path}: files: expected names within the folder and the sha256 of each, found "
                f"{name!r}: {digest!r}; {AGAIN}"
            )


def check_file(path, digest):
    """Raise ExportError unless a file is there and has the sha256 ``digest``."""
    check_is_file(path)
    try:
        found = sha256_of(path)
    except OSError as error:
        raise ExportError(
            f"{path}: cannot be read: {error.strerror}; copy the whole folder, or {AGAIN}"
        ) from error
    if found != digest:
        raise ExportError(
            f"{path}: its {os.path.getsize(path)} bytes are not what was exported: sha256 "
            f"{found[:16]}..., expected {digest[:16]}...; it is truncated, damaged or of another "
            f"export: copy the whole folder again, or {AGAIN}"
        )
