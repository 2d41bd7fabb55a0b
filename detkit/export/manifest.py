"""model.json of an exported detector: the other files, and how an image becomes their input.

The C++ program in tools/deploy reads the same file.
"""

import json
import os
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

from detkit.errors import ExportError
from detkit.export.manifest_rules import (
    MOST_BYTES,
    NULL,
    check_is_file,
    check_types,
    check_values,
    chosen_of,
    skeleton_of,
)
from detkit.export.strict_json import parse_json
from detkit.files.disk import sha256_of, whole_file
from detkit.threshold import Threshold

FORMAT = 1
MANIFEST = "model.json"
SYMBOL, PARAMETERS = "model-symbol.json", "model-0000.params"
FLOAT32, BFLOAT16, INT8 = "float32", "bfloat16", "int8"  # precisions
ANY, VNNI = "any", "vnni"  # the CPUs that INT8 is for
AGAIN = "export it again (detkit export)"

PathName = Union[str, "os.PathLike[str]"]


class Manifest(NamedTuple):
    """The content of model.json, except the number of its format.

    detkit, mxnet: the versions that wrote it.
    classes: the names; label l of the network is ``classes[l + first_label]``.
    inputs: the names images and sizes. A network that takes proposals also has proposals (B, R, 4)
        in pixels of the input and proposal_scores (B, R), 1, or -1 for padding. One whose proposals
        have a ``min_size_of`` the image has scales (B, 2), x and y: resized / original size.
    outputs: the name and shape of each output, with "B" for the number of images and the largest
        possible number of rows. Heatmaps also have a ``skeleton``, see detkit.Detections.
    resize: {short, long, like}, the arguments of detkit.data.resize, or None for no resizing.
    pad_multiple: the number that divides the sides of the input, in pixels.
    ops, library: native and the name of the file of operators, or mxnet and None.
    precision: of the layers: FLOAT32, BFLOAT16 or INT8.
    int8_for: the CPUs that calculate the sums of INT8 exactly, ANY or VNNI; None for no INT8.
    files: {name: sha256}.
    source: the name of the config and the hash of the checkpoint, None if unknown.
    threshold: {scores, rule, split} of a Threshold, or None.
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
    threshold: Optional[Dict[str, Any]] = None

    @property
    def skeleton(self) -> List[List[int]]:
        """The pairs of keypoints that a drawing connects; empty without heatmaps."""
        return skeleton_of(self.outputs)

    @property
    def chosen(self) -> Optional[Threshold]:
        """The least scores of what is detected by default, or None."""
        return chosen_of(self.threshold)

    def text(self) -> str:
        """Returns the content of the file."""
        return json.dumps({"format": FORMAT, **self._asdict()}, indent=1, ensure_ascii=False) + "\n"


TYPES: Dict[str, Tuple[type, ...]] = {
    **dict.fromkeys(("detkit", "mxnet", "ops", "precision"), (str,)),
    **dict.fromkeys(("classes", "inputs", "outputs"), (list,)),
    **dict.fromkeys(("first_label", "pad_multiple"), (int,)),
    **dict.fromkeys(("files", "source"), (dict,)),
    **dict.fromkeys(("resize", "threshold"), (dict, NULL)),
    **dict.fromkeys(("library", "int8_for"), (str, NULL)),
}


def read_manifest(folder: PathName) -> Manifest:
    """Returns the Manifest of a folder, after it has checked every file that it names.

    Raises ExportError if the folder is no export or has another format, and if a file is missing,
    truncated or another one.
    """
    manifest = parse_manifest(folder)
    for name, digest in manifest.files.items():
        check_file(os.path.join(folder, name), digest)
    return manifest


def parse_manifest(folder: PathName) -> Manifest:
    """Returns the Manifest of a folder without a look at the other files.

    Raises the errors of ``read_manifest`` about model.json.
    """
    path = os.path.join(folder, MANIFEST)
    check_is_file(path)
    try:
        with open(path, "rb") as file:
            content = parse_json(file.read(MOST_BYTES + 1), path, MOST_BYTES)
    except FileNotFoundError as error:
        raise ExportError(
            f"{path}: expected the folder of an export, found no such file; name a folder that "
            "detkit export wrote"
        ) from error
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error}; {AGAIN}") from error
    number = content.get("format") if isinstance(content, dict) else None
    if type(number) is not int or number != FORMAT:
        raise ExportError(
            f"{path}: format: expected {FORMAT}, found {number!r}; use the version of detkit that "
            f"wrote it, or {AGAIN}"
        )
    # An export without the key is older than the choice, and its INT8 was for VNNI.
    content.setdefault("int8_for", VNNI if content.get("precision") == INT8 else None)
    content.setdefault("threshold", None)  # older exports have none
    check_types(path, content, TYPES)
    _check_names(path, content)
    check_values(path, content)
    return Manifest(**{name: content[name] for name in Manifest._fields})


def write_threshold(folder: PathName, threshold: Threshold) -> None:
    """Writes the threshold of an export into its model.json.

    Raises the errors of ``parse_manifest``, and DataError if the file cannot be written.
    """
    manifest = parse_manifest(folder)._replace(threshold=threshold.to_json())
    with whole_file(Path(folder, MANIFEST)) as part:
        part.write_text(manifest.text(), encoding="utf-8")


def _check_names(path: str, content: Dict[str, Any]) -> None:
    """Raises ExportError if a file is missing or lies outside of the folder.

    A name that leads elsewhere is refused, so that a foreign model.json cannot open other files.
    """
    library = content["library"]
    for name in (SYMBOL, PARAMETERS, *([] if library is None else [library])):
        if name not in content["files"]:
            known = ", ".join(content["files"]) or "none"
            raise ExportError(
                f"{path}: files: expected {name!r} among them, found {known}; {AGAIN}"
            )
    for name, digest in content["files"].items():
        if os.path.basename(name) != name or not isinstance(digest, str):
            raise ExportError(
                f"{path}: files: expected names within the folder and the sha256 of each, found "
                f"{name!r}: {digest!r}; {AGAIN}"
            )


def check_file(path: str, digest: str) -> None:
    """Raises ExportError unless the file exists and has the sha256 ``digest``."""
    check_is_file(path)
    try:
        found = sha256_of(path)
    except OSError as error:
        raise ExportError(
            f"{path}: cannot be read: {error.strerror}; copy the whole folder, or {AGAIN}"
        ) from error
    if found != digest:
        raise ExportError(
            f"{path}: expected the sha256 {digest[:16]}..., found {found[:16]}... of "
            f"{os.path.getsize(path)} bytes; the file is truncated, damaged or of another export: "
            f"copy the whole folder again, or {AGAIN}"
        )
