"""The example images of a report: all their boxes, and their pixels as JPEG in data URIs."""

import base64
import collections
import logging
from typing import Any, Dict, List, Mapping, Sequence

import cv2
import numpy as np

from detkit.analysis.matches import IGNORED, NOTHING, match_image
from detkit.data.augment.geometry import like
from detkit.data.sample import Dataset
from detkit.detections import Detections
from detkit.detections.of_dataset import no_detections
from detkit.errors import DataError, ImageError

LONGEST = 480  # pixels of the longer side of a picture
QUALITY = 80  # of JPEG
MOST_BOXES = 100  # detections of an image
LEAST_SCORE = 0.05  # of a detection that is shown

logger = logging.getLogger(__name__)


def first_of_each_kind(summary: Mapping[str, Any], number: int) -> Dict[str, Any]:
    """Returns a summary with no more than ``number`` examples of each kind."""
    seen: Dict[str, int] = collections.Counter()
    kept: List[Any] = []
    for example in summary["examples"]:
        seen[example["kind"]] += 1
        if seen[example["kind"]] <= number:
            kept.append(example)
    return {**summary, "examples": kept}


def add_all_boxes(
    summary: Mapping[str, Any], dataset: Dataset, detections: Mapping[Any, Detections]
) -> None:
    """Gives the examples of a summary the detections of all thresholds.

    A summary has those from one threshold. Here an example gets the best MOST_BOXES from
    LEAST_SCORE on. Each has "hit", and as "object" the index of its object, or None.
    """
    rows = _rows(dataset)
    for example in summary["examples"]:
        annotation = dataset.annotation(rows[example["image_id"]])
        found = detections.get(example["image_id"], no_detections(dataset.class_names))
        matched = match_image(annotation, found, crowds=summary["rule"] == "coco")
        counts = np.flatnonzero((found.scores >= LEAST_SCORE) & (matched != IGNORED))
        best = counts[np.argsort(-found.scores[counts], kind="stable")][:MOST_BOXES]
        example["detections"] = [
            {
                "box": [round(float(side), 1) for side in found.boxes[row]],
                "label": int(found.labels[row]),
                "score": round(float(found.scores[row]), 4),
                "hit": bool(
                    matched[row] != NOTHING and annotation.labels[matched[row]] == found.labels[row]
                ),
                "object": None if matched[row] == NOTHING else int(matched[row]),
            }
            for row in best
        ]


def pictures_of(summaries: Sequence[Mapping[str, Any]], dataset: Dataset) -> Dict[str, str]:
    """Returns {image id as text: data URI} of the examples, no longer than LONGEST pixels.

    An image that cannot be read is named in the log and left out.
    """
    rows, pictures = _rows(dataset), {}
    for image_id in {one["image_id"]: None for each in summaries for one in each["examples"]}:
        try:
            pictures[str(image_id)] = data_uri(dataset.image(rows[image_id]))
        except (DataError, ImageError) as error:
            logger.warning("%s: the report leaves the picture out: %s", image_id, error)
    return pictures


def _rows(dataset: Dataset) -> Dict[Any, int]:
    return {dataset.annotation(index).image_id: index for index in range(len(dataset))}


def data_uri(image: np.ndarray, longest: int = LONGEST) -> str:
    """Returns an RGB image (H, W, 3) in [0, 255] as a data URI of a JPEG file.

    longest: the pixels that the longer side of the picture may have.
    """
    height, width = image.shape[:2]
    scale = min(1.0, longest / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(like(image, np.dtype(np.uint8)), size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
