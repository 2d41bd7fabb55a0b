"""The types and ranges of the values in model.json, and in the metadata of an .onnx.

tools/deploy/model.cpp checks the same.
"""

import os
import re
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from detkit.data.resize import FRAMEWORKS
from detkit.errors import ExportError
from detkit.keypoints import MOST_KEYPOINTS
from detkit.threshold import EXPECTED, Threshold, is_threshold, threshold_of

MOST_BYTES = 1 << 22  # of model.json
MOST_CLASSES = 10_000
MOST_ROWS = 100_000  # detections of an image
LARGEST_MASK = 1024  # cells along a side, of heatmaps too
MOST_LIMBS = 4096  # pairs of a skeleton
LONGEST_SIDE = 16_384  # pixels of a resized image
LARGEST_MULTIPLE = 1024  # pixels
LONGEST_TEXT = 1024  # bytes
MOST_FILES = 64
MOST_PIXELS = 1 << 40  # that one may allow an image of the user's own to have
CHANNELS = "RGB"  # the order of the channels of every network; OpenCV reads BGR
INPUTS = (
    ["images", "sizes"],
    ["images", "sizes", "scales"],
    ["images", "sizes", "proposals", "proposal_scores"],
)
BOXES, SCORES, LABELS = "boxes", "scores", "labels"
MASKS, HEATMAPS = "masks", "heatmaps"
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
DIGEST = re.compile(r"[0-9a-f]{64}")
AGAIN = "export it again (detkit export)"
NULL = type(None)
WORDS = {str: "a string", list: "a list", int: "an integer", dict: "an object", NULL: "null"}


def check_types(
    place: str, content: Mapping[str, Any], types: Mapping[str, Tuple[type, ...]]
) -> None:
    """Raises ExportError for a key of ``types`` that is missing or has a value of another type."""
    for name, allowed in types.items():
        if name not in content or not isinstance(content[name], allowed):
            expected = " or ".join(WORDS[each] for each in allowed)
            found = repr(content[name]) if name in content else "nothing"
            raise ExportError(f"{place}: {name}: expected {expected}, found {found}; {AGAIN}")


def check_values(place: str, content: Mapping[str, Any]) -> None:
    """Raises ExportError for a value that no export has.

    place: the path of the file. content: its keys, with values of the right types. Those among
        them that have a rule are checked.
    """
    for key, (is_right, expected) in RULES.items():
        if key in content and not is_right(content[key]):
            _fail(place, key, expected, content[key])
    classes = len(content["classes"])
    if not _is_whole(content["first_label"], 0, classes - 1):
        expected = f"a whole number from 0 to {classes - 1}, because there are {classes} classes"
        _fail(place, "first_label", expected, content["first_label"])
    if content["threshold"] is not None and not is_threshold(content["threshold"], classes):
        _fail(place, "threshold", f"null, or {EXPECTED}", content["threshold"])


def skeleton_of(outputs: List[Dict[str, Any]]) -> List[List[int]]:
    """Returns the pairs of keypoints that a drawing connects; none without heatmaps."""
    skeleton: List[List[int]] = outputs[-1].get("skeleton", [])
    return skeleton


def chosen_of(threshold: Optional[Dict[str, Any]]) -> Optional[Threshold]:
    """Returns the Threshold of a manifest's ``threshold``, or None."""
    return None if threshold is None else threshold_of(threshold)


def check_is_file(path: str) -> None:
    """Raises ExportError for a pipe or a device, which might never open or end."""
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise ExportError(f"{path}: expected a file, found a pipe or a device; {AGAIN}")


def _fail(place: str, key: str, expected: str, found: Any) -> None:
    shown = repr(found)
    shown = f"{shown[:200]}..." if len(shown) > 203 else shown
    raise ExportError(f"{place}: {key}: expected {expected}, found {shown}; {AGAIN}")


def _is_whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value.encode("utf-8")) <= LONGEST_TEXT


def _are_classes(value: Any) -> bool:
    return 1 <= len(value) <= MOST_CLASSES and all(map(_is_text, value))


def _are_outputs(value: Any) -> bool:
    if len(value) not in (3, 4) or not all(isinstance(each, dict) for each in value):
        return False
    names, shapes = ([each.get(key) for each in value] for key in ("name", "shape"))
    if not all(isinstance(shape, list) and len(shape) > 1 for shape in shapes):
        return False
    rows = shapes[0][1]
    expected = [["B", rows, 4], ["B", rows], ["B", rows]]
    known = [BOXES, SCORES, LABELS]
    if len(value) == 4:
        side, keypoints = shapes[3][-1], shapes[3][2:-2]  # a number for heatmaps, none for masks
        known.append(HEATMAPS if keypoints else MASKS)
        expected.append(["B", rows, *keypoints[:1], side, side])
        if not _is_whole(side, 1, LARGEST_MASK):
            return False
        if keypoints and not _has_skeleton(value[3], keypoints[0]):
            return False
    right = _is_whole(rows, 1, MOST_ROWS) and names == known
    return right and all(map(_same_shape, shapes, expected))


def _has_skeleton(output: Dict[str, Any], keypoints: Any) -> bool:
    """Returns whether the output of heatmaps has a possible number of keypoints, and pairs."""
    skeleton = output.get("skeleton")
    if not _is_whole(keypoints, 1, MOST_KEYPOINTS) or not isinstance(skeleton, list):
        return False
    pairs = [limb for limb in skeleton if isinstance(limb, list) and len(limb) == 2]
    return len(pairs) == len(skeleton) <= MOST_LIMBS and all(
        _is_whole(end, 0, keypoints - 1) for limb in pairs for end in limb
    )


def _same_shape(found: Any, expected: Any) -> bool:
    return found == expected and all(type(side) is int for side in found[1:])


def _is_resize(value: Any) -> bool:
    return value is None or (
        set(value) == {"short", "long", "like"}
        and all(_is_whole(value[side], 1, LONGEST_SIDE) for side in ("short", "long"))
        and (value["like"] is None or _is_one_of(value["like"], FRAMEWORKS))
    )


def _is_one_of(value: Any, allowed: Any) -> bool:
    return isinstance(value, str) and value in allowed


def _are_files(value: Any) -> bool:
    return len(value) <= MOST_FILES and all(
        FILE_NAME.fullmatch(name) and isinstance(digest, str) and DIGEST.fullmatch(digest)
        for name, digest in value.items()
    )


RULES: Dict[str, Tuple[Callable[[Any], Any], str]] = {
    "detkit": (_is_text, f"a text of at most {LONGEST_TEXT} bytes"),
    "mxnet": (_is_text, f"a text of at most {LONGEST_TEXT} bytes"),
    "classes": (
        _are_classes,
        f"1 to {MOST_CLASSES} texts of at most {LONGEST_TEXT} bytes",
    ),
    "inputs": (lambda value: value in INPUTS, " or ".join(map(str, INPUTS))),
    "outputs": (
        _are_outputs,
        "boxes ['B', D, 4], scores ['B', D], labels ['B', D] and perhaps masks ['B', D, M, M], or "
        "heatmaps ['B', D, J, M, M] with a skeleton of pairs of numbers from 0 to J - 1, with D up "
        f"to {MOST_ROWS}, J up to {MOST_KEYPOINTS} and M up to {LARGEST_MASK}",
    ),
    "resize": (
        _is_resize,
        f"null, or short and long from 1 to {LONGEST_SIDE} pixels, and like, one of null, "
        + ", ".join(FRAMEWORKS),
    ),
    "pad_multiple": (
        lambda value: _is_whole(value, 1, LARGEST_MULTIPLE),
        f"a whole number from 1 to {LARGEST_MULTIPLE}",
    ),
    "channels": (lambda value: value == CHANNELS, CHANNELS),
    "max_pixels": (
        lambda value: _is_whole(value, 1, MOST_PIXELS),
        f"a whole number from 1 to {MOST_PIXELS}",
    ),
    "ops": (lambda value: _is_one_of(value, ("native", "mxnet")), "native or mxnet"),
    "precision": (
        lambda value: _is_one_of(value, ("float32", "bfloat16", "int8")),
        "float32, bfloat16 or int8",
    ),
    "int8_for": (
        lambda value: value is None or _is_one_of(value, ("any", "vnni")),
        "null, any or vnni",
    ),
    "files": (
        _are_files,
        f"up to {MOST_FILES} names of files in the folder, each with 64 hexadecimal digits",
    ),
    "source": (
        lambda value: all(each is None or _is_text(each) for each in value.values()),
        "texts or null",
    ),
}
