"""The description of a detector in its .onnx: one JSON value in the file's metadata.

It is the part of model.json that does not depend on MXNet, and is checked by the same rules,
because a file may come from a stranger.
"""

import json
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from detkit.errors import ExportError
from detkit.export.manifest_rules import (
    AGAIN,
    MOST_BYTES,
    NULL,
    check_types,
    check_values,
    chosen_of,
    skeleton_of,
)
from detkit.export.onnx_files import OnnxFile, PathName, read_onnx, write_metadata
from detkit.export.strict_json import parse_json
from detkit.threshold import Threshold

KEY = "detkit"  # of the metadata
FORMAT = 1
FLOAT = "float"  # the type of all inputs and outputs


class OnnxManifest(NamedTuple):
    """The content of an .onnx's metadata, except the number of its format.

    detkit: the version that wrote it.
    classes, first_label, inputs, outputs, resize, pad_multiple, threshold: as in a Manifest.
    channels: their order, "RGB". The means and deviations of the pixels are within the graph.
    max_pixels: the largest number of pixels of an image file that is decoded.
    """

    detkit: str
    classes: List[str]
    first_label: int
    inputs: List[str]
    outputs: List[Dict[str, Any]]
    resize: Optional[Dict[str, Any]]
    pad_multiple: int
    channels: str
    max_pixels: int
    threshold: Optional[Dict[str, Any]]

    @property
    def skeleton(self) -> List[List[int]]:
        """The pairs of keypoints that a drawing connects; empty without heatmaps."""
        return skeleton_of(self.outputs)

    @property
    def chosen(self) -> Optional[Threshold]:
        """The least scores of what is detected by default, or None."""
        return chosen_of(self.threshold)

    def text(self) -> str:
        """Returns the JSON value of the metadata."""
        return json.dumps({"format": FORMAT, **self._asdict()}, ensure_ascii=False)


TYPES: Dict[str, Tuple[type, ...]] = {
    **dict.fromkeys(("detkit", "channels"), (str,)),
    **dict.fromkeys(("classes", "inputs", "outputs"), (list,)),
    **dict.fromkeys(("first_label", "pad_multiple", "max_pixels"), (int,)),
    **dict.fromkeys(("resize", "threshold"), (dict, NULL)),
}


def read_onnx_manifest(path: PathName) -> Tuple[OnnxManifest, OnnxFile]:
    """Returns the OnnxManifest of an .onnx, and the file that was read.

    Raises the errors of ``read_onnx``, and ExportError for a file without the manifest, such as one
    of another program, or with one that no export has.
    """
    place, file = os.fspath(path), read_onnx(path)
    text = file.metadata.get(KEY.encode())
    if text is None:
        keys = ", ".join(sorted(repr(key)[1:42] for key in file.metadata))
        raise ExportError(
            f"{place}: metadata: expected {KEY!r}, which detkit export --onnx writes, found "
            f"{keys or 'none'}; {AGAIN}"
        )
    return _parsed(f"{place}: metadata {KEY!r}", text), file


def check_names(path: str, what: str, expected: Sequence[str], found: Mapping[str, str]) -> None:
    """Raises ExportError if a graph has other inputs or outputs than its manifest says.

    what: "inputs" or "outputs". expected: their names. found: {name: type}, all of which are FLOAT.
    """
    if sorted(found) != sorted(expected) or set(found.values()) != {FLOAT}:
        raise ExportError(
            f"{path}: {what}: expected {', '.join(expected)} of type {FLOAT}, as its metadata "
            f"says, found {', '.join(f'{name}: {kind}' for name, kind in found.items())}; {AGAIN}"
        )


def write_onnx_threshold(path: PathName, threshold: Threshold) -> None:
    """Writes the threshold of a detector into its .onnx.

    Raises the errors of ``read_onnx_manifest``, and DataError if the file cannot be written.
    """
    manifest, _ = read_onnx_manifest(path)
    value = threshold.to_json()
    new = manifest._replace(threshold=value).text().encode()
    write_metadata(path, {KEY.encode(): new, b"threshold": json.dumps(value).encode()})


def _parsed(where: str, text: bytes) -> OnnxManifest:
    content = parse_json(text, where, MOST_BYTES)
    number = content.get("format") if isinstance(content, dict) else None
    if type(number) is not int or number != FORMAT:
        raise ExportError(
            f"{where}: format: expected {FORMAT}, found {number!r}; use the version of detkit that "
            f"wrote it, or {AGAIN}"
        )
    check_types(where, content, TYPES)
    check_values(where, content)
    return OnnxManifest(**{name: content[name] for name in OnnxManifest._fields})
