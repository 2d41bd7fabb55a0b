"""Compares the detections of an exported detector with those of the original."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Union

import cv2
import mxnet as mx
import numpy as np

from detkit.detections import Detections, detections_of
from detkit.detections.overlap import pairwise_iou
from detkit.errors import ExportError
from detkit.export.exported import ExportedDetector
from detkit.segmentations import decode
from detkit.wording import install

# Two boxes are of one object if their IoU is at least SAME, or their corners are at most NEAR
# pixels apart.
SAME, NEAR = 0.5, 1.0
APART = 0.5  # pixels between keypoints that differ
LEAST_AREA = 100.0  # square pixels; one pixel of a mask is at most a hundredth of its box then


class Difference(NamedTuple):
    """The largest differences between the detections of two detectors.

    missing: the number of detections that only one of them has. boxes: pixels of the image.
    scores: in [0, 1]. masks: pixels that differ, as a share of the object's box. keypoints: the
    share of an object's keypoints that are more than APART away.
    """

    missing: int = 0
    boxes: float = 0.0
    scores: float = 0.0
    masks: float = 0.0
    keypoints: float = 0.0

    def exceeds(self, tolerance: "Difference") -> bool:
        """Returns whether any number is NaN or above that of ``tolerance``."""
        return not all(number <= allowed for number, allowed in zip(self, tolerance))

    def __str__(self) -> str:
        return (
            f"boxes {self.boxes:.2g} px, scores {self.scores:.2g}, masks {self.masks:.2g}, "
            f"keypoints {self.keypoints:.2g}, "
            f"{self.missing} found by one alone"
        )


TOLERANCE = Difference(missing=0, boxes=0.01, scores=1e-4, masks=0.01, keypoints=0.25)


def compare(expected: Sequence[Detections], actual: Sequence[Detections]) -> Difference:
    """Returns the Difference between two lists of Detections, one for each image.

    Objects are matched by label and box and not by rank, because equal scores have no order.
    """
    return _worst([_compare_image(*pair) for pair in zip(expected, actual)])


def _compare_image(expected: Detections, actual: Detections) -> Difference:
    unmatched, differences = list(range(len(actual.boxes))), []
    for row, box in enumerate(expected.boxes):
        other = _find(box, int(expected.labels[row]), actual, unmatched)
        if other is None:
            differences.append(Difference(missing=1))
            continue
        unmatched.remove(other)
        distance = float(np.abs(actual.boxes[other] - box).max())
        score = float(abs(expected.scores[row] - actual.scores[other]))
        mask = _mask_difference(expected, row, actual, other) if expected.has_masks else 0.0
        points = _keypoint_difference(expected, row, actual, other)
        differences.append(Difference(0, distance, score, mask, points))
    return _worst([*differences, Difference(missing=len(unmatched))])


def _find(box: np.ndarray, label: int, actual: Detections, rows: Sequence[int]) -> Optional[int]:
    """Returns the row, one of ``rows``, of the object with that box (4,) and label, or None."""
    same = [row for row in rows if actual.labels[row] == label]
    if not same:
        return None
    distances = np.abs(actual.boxes[same] - box).max(axis=1)
    nearest = same[int(distances.argmin())]
    iou = pairwise_iou(box[None], actual.boxes[[nearest]]).item()
    return nearest if iou >= SAME or distances.min() <= NEAR else None


def _worst(differences: Sequence[Difference]) -> Difference:
    """Returns the largest of each number, and the sum of the missing detections."""
    missing, *largest = zip(Difference(), *differences)
    return Difference(sum(missing), *(float(np.max(numbers)) for numbers in largest))


def _mask_difference(expected: Detections, row: int, actual: Detections, other: int) -> float:
    """Returns the pixels that differ between two masks, as a share of the expected box."""
    height, width = expected.image_size or (0, 0)  # detections with masks have a size
    one = decode(expected.rle(row), height, width)
    another = decode(actual.rle(other), height, width)
    x1, y1, x2, y2 = expected.boxes[row]
    area = max(float((x2 - x1) * (y2 - y1)), LEAST_AREA)
    return float((one != another).sum() / area)


def _keypoint_difference(expected: Detections, row: int, actual: Detections, other: int) -> float:
    """Returns the share of an object's keypoints that are more than APART away."""
    if expected.keypoints is None or actual.keypoints is None:
        return float((expected.keypoints is None) != (actual.keypoints is None))
    offsets = expected.keypoints[row, :, :2] - actual.keypoints[other, :, :2]
    return float((np.abs(offsets).max(axis=1) > APART).mean())


def build_program(source: Union[str, Path], build: Union[str, Path]) -> str:
    """Builds the C++ program ``detect`` with CMake and returns its path.

    source: the folder of CMakeLists.txt. build: the folder for everything that is built.

    Raises ExportError if CMake or the compiler fails.
    """
    mxnet = f"-DMXNET_DIR={os.path.dirname(mx.__file__)}"
    _printed_by(["cmake", "-S", source, "-B", build, mxnet])
    _printed_by(["cmake", "--build", build, "--parallel"])
    return os.path.join(build, "detect")


def run_program(
    program: str,
    folder: Union[str, Path],
    images: Sequence[np.ndarray],
    class_names: Sequence[str],
    options: Sequence[str] = (),
) -> List[Detections]:
    """Runs the C++ program with an exported folder and returns the Detections of each image.

    images: (H, W, 3) uint8 RGB. class_names: of the exported detector. options: more of its words.

    Raises ExportError if the program fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        paths = [os.path.join(scratch, f"{number}.ppm") for number in range(len(images))]
        for path, image in zip(paths, images):
            cv2.imwrite(path, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        printed = _printed_by([program, folder, *paths, "--json", "--score", "0", *options])
    return [_parsed(json.loads(line), class_names) for line in printed.splitlines()]


def run_onnx(
    path: str,
    exported: ExportedDetector,
    images: Sequence[np.ndarray],
    proposals: Optional[Sequence[np.ndarray]] = None,
) -> List[Detections]:
    """Runs an ONNX model with ONNX Runtime and returns the Detections of each image.

    exported: the ExportedDetector of the same network, which prepares the images.
    images: (H, W, 3) uint8 RGB.
    proposals: boxes (R, 4) of each image, if the network takes them.

    Raises ExportError if ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ExportError(
            f"{path}: expected the package onnxruntime to run it, found none ({error}); "
            f"{install('onnx')}"
        ) from error
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names, manifest = exported.class_names, exported.manifest
    about = names, manifest.first_label, manifest.skeleton
    detections: List[Detections] = []
    for number, image in enumerate(images):
        batch = exported.batch([image], proposals and [proposals[number]])
        inputs = {name: getattr(batch, name) for name in manifest.inputs}
        detections += detections_of(batch, session.run(None, inputs), *about)
    return detections


def _parsed(image: Dict[str, Any], class_names: Sequence[str]) -> Detections:
    """Returns the Detections of the C++ program's JSON for an image."""
    objects = image["detections"]
    masks = [entry["mask"] for entry in objects if "mask" in entry]
    keypoints = [entry["keypoints"] for entry in objects if "keypoints" in entry]
    return Detections(
        boxes=np.array([entry["box"] for entry in objects], "float32").reshape(-1, 4),
        scores=np.array([entry["score"] for entry in objects], "float32"),
        labels=np.array([entry["label"] for entry in objects], "int32"),
        class_names=class_names,
        image_size=(image["height"], image["width"]),
        rles=masks or None,
        keypoints=np.array(keypoints, "float32") if keypoints else None,
    )


def _printed_by(command: Iterable[Union[str, Path]]) -> str:
    """Runs a command and returns what it prints.

    Raises ExportError with the end of its error messages if it fails.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise ExportError(
            f"the command failed with exit status {done.returncode}: {' '.join(words)}\n"
            f"{done.stderr.strip()[-2000:]}"
        )
    return done.stdout
