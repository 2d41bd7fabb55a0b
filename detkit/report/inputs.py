"""The page of the network's inputs: images after the transforms, with objects and their anchors.

It is one file, joined as the page of a report is. Boxes, outlines and anchors are numbers that the
script draws, so that each layer can be shown alone.
"""

from typing import Any, Dict, List, Mapping, Optional, Sequence

import cv2
import numpy as np

from detkit.data.keypoints import FIELD, Keypoints
from detkit.data.sample import Sample
from detkit.detections.draw import colour_of
from detkit.report.page import document
from detkit.report.pictures import data_uri
from detkit.train_steps.matched_anchors import MatchedAnchors

SCRIPTS = ("dom", "theme", "inputs_overlay", "inputs_help", "inputs")
LONGEST = 960  # pixels of the longer side of a picture
MOST_BYTES = 40_000_000  # of the pictures and numbers of a page
MOST_ANCHORS = 20  # of an object that are drawn, those of largest IoU first
SMOOTHNESS = 0.7  # pixels by which an outline may leave its mask


def inputs_page(
    title: str,
    class_names: Sequence[str],
    images: Sequence[Mapping[str, Any]],
    about: str,
    least_iou: float,
    has_anchors: bool,
) -> str:
    """Returns the HTML of the page.

    images: the results of ``packed_input``. about: a sentence on where the images come from.
    least_iou: the IoU that at least one anchor should have with each object.
    has_anchors: whether the detector has anchors, so that objects without one are marked.
    """
    data = {
        "title": title,
        "about": about,
        "class_names": list(class_names),
        "colours": [_hexadecimal(label) for label in range(len(class_names))],
        "least_iou": least_iou,
        "most_anchors": MOST_ANCHORS,
        "has_anchors": has_anchors,
        "images": list(images),
    }
    return document("inputs", ["style", "inputs"], SCRIPTS, data)


def packed_input(sample: Sample, matched: Optional[MatchedAnchors]) -> Dict[str, Any]:
    """Returns what the page shows of a Sample: JSON's types, with the image as a data URI.

    matched: the anchors of its objects; None for a detector without anchors. The best MOST_ANCHORS
        of each object are kept; their number is that of all.
    """
    height, width = sample.image.shape[:2]
    field = sample.fields.get(FIELD)
    points = field.points if isinstance(field, Keypoints) else None
    objects = []
    for row, (box, label, ignored) in enumerate(zip(sample.boxes, sample.labels, sample.difficult)):
        one: Dict[str, Any] = {
            "box": _rounded(box),
            "label": int(label),
            "ignored": bool(ignored),
            "outlines": [] if sample.masks is None else _outlines(sample.masks[row]),
            "points": [] if points is None else [_rounded(point) for point in points[row]],
        }
        if matched is not None:
            one.update(_anchors_of(row, matched))
        objects.append(one)
    return {
        "id": str(sample.image_id),
        "width": width,
        "height": height,
        "picture": data_uri(sample.image, LONGEST),
        "objects": objects,
    }


def _anchors_of(row: int, matched: MatchedAnchors) -> Dict[str, Any]:
    """Returns the number of an object's anchors, its largest IoU, and its best anchors."""
    mine = np.flatnonzero(matched.objects == row)
    best = mine[np.argsort(-matched.iou[mine], kind="stable")][:MOST_ANCHORS]
    anchors = [
        {
            "box": _rounded(matched.boxes[index]),
            "level": int(matched.levels[index]),
            "iou": round(float(matched.iou[index]), 3),
        }
        for index in best
    ]
    return {
        "positives": len(mine),
        "best": round(float(matched.best[row]), 3),
        "anchors": anchors,
    }


def _outlines(mask: np.ndarray) -> List[List[float]]:
    """Returns the outlines of a mask (H, W) and of its holes, each as x, y, x, y, ..."""
    # Enlarged twice, a line through the centres of border pixels is near the border itself.
    large = cv2.resize(mask, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    found, _ = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    lines = (cv2.approxPolyDP(each, 2 * SMOOTHNESS, True).reshape(-1, 2) for each in found)
    return [((line + 0.5) / 2).round(1).ravel().tolist() for line in lines if len(line) > 2]


def _rounded(numbers: np.ndarray) -> List[float]:
    return [round(float(number), 1) for number in numbers]


def _hexadecimal(label: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour_of(label))
