"""What an .onnx of detkit's says about its detector: one JSON value in the file's metadata.

It is the part of model.json that does not depend on MXNet, and is checked by the same rules,
because a file may come from a stranger.
"""

import json
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

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
from detkit.export.strict_json import parse_json
from detkit.threshold import Threshold

KEY = "detkit"  # of the metadata
FORMAT = 1


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


def parse_onnx_manifest(place: str, text: bytes) -> OnnxManifest:
    """Returns the OnnxManifest of a text in the metadata of a file.

    place: the path of the file, for messages.

    Raises ExportError for a text that no export has.
    """
    where = f"{place}: metadata {KEY!r}"
    content = parse_json(text, where, MOST_BYTES)
    number = content.get("format") if isinstance(content, dict) else None
    if type(number) is not int or number != FORMAT:
        raise ExportError(
            f"{where}: format: expected {FORMAT}, found {number!r}; use the version of detkit that "
            f"wrote it, or {AGAIN}"
        )
    check_types(where, content, TYPES)
    check_values(where, {name: content[name] for name in OnnxManifest._fields})
    return OnnxManifest(**{name: content[name] for name in OnnxManifest._fields})
