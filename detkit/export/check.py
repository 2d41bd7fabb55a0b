"""Whether an exported detector finds what the one it was made of finds."""

import json
import os
import subprocess
import tempfile
from typing import NamedTuple

import cv2
import mxnet as mx
import numpy as np

from detkit.detections import Detections, detections_of
from detkit.detections.overlap import pairwise_iou
from detkit.errors import ExportError
from detkit.segmentations import decode

SAME, NEAR = 0.5, 1.0  # what boxes of one object have: an IoU, or corners so many pixels apart
LEAST_AREA = 100.0  # pixels: in a smaller box, one pixel of the mask is no hundredth of it


class Difference(NamedTuple):
    """How far two detectors are apart, at most.

    missing: detections that only one of them has. boxes: pixels of the image.
    masks: pixels that differ, as a share of the object's box.
    """

    missing: int = 0
    boxes: float = 0.0
    scores: float = 0.0
    masks: float = 0.0

    def exceeds(self, tolerance):
        """Whether any of the numbers is above that of another Difference, or is no number."""
        return not all(found <= allowed for found, allowed in zip(self, tolerance))

    def __str__(self):
        return (
            f"boxes {self.boxes:.2g} px, scores {self.scores:.2g}, masks {self.masks:.2g}, "
            f"{self.missing} found by one alone"
        )


TOLERANCE = Difference(missing=0, boxes=0.01, scores=1e-4, masks=0.01)


def compare(expected, found):
    """The Difference of two lists of Detections, one for each image.

    Objects are matched by label and box, not by rank: equal scores have no order.
    """
    return _worst([_compare_image(*pair) for pair in zip(expected, found)])


def _compare_image(expected, found):
    left, each = list(range(len(found.boxes))), []
    for row, box in enumerate(expected.boxes):
        again = _found_again(box, expected.labels[row], found, left)
        if again is None:
            each.append(Difference(missing=1))
            continue
        left.remove(again)
        distance = float(np.abs(found.boxes[again] - box).max())
        score = float(abs(expected.scores[row] - found.scores[again]))
        mask = _mask_difference(expected, row, found, again) if expected.has_masks else 0.0
        each.append(Difference(0, distance, score, mask))
    return _worst([*each, Difference(missing=len(left))])


def _found_again(box, label, found, left):
    """Which of the detections ``left`` is the object with that box and label, None if none is."""
    same = [other for other in left if found.labels[other] == label]
    if not same:
        return None
    distances = np.abs(found.boxes[same] - box).max(axis=1)
    nearest = same[int(distances.argmin())]
    iou = pairwise_iou(box[None], found.boxes[[nearest]]).item()
    return nearest if iou >= SAME or distances.min() <= NEAR else None


def _worst(differences):
    """The largest of each number, and all that is missing."""
    missing, *largest = zip(Difference(), *differences)
    return Difference(sum(missing), *(float(np.max(numbers)) for numbers in largest))


def _mask_difference(expected, row, found, other):
    image_size = expected.image_size
    one, another = (
        decode(detections.rle(index), *image_size)
        for detections, index in ((expected, row), (found, other))
    )
    x1, y1, x2, y2 = expected.boxes[row]
    area = max(float((x2 - x1) * (y2 - y1)), LEAST_AREA)
    return float((one != another).sum() / area)


def build_program(source, build):
    """The path of the C++ program ``detect``, built by CMake out of ``source`` into ``build``.

    Raises ExportError where CMake or the compiler fails.
    """
    mxnet = f"-DMXNET_DIR={os.path.dirname(mx.__file__)}"
    _output(["cmake", "-S", source, "-B", build, mxnet])
    _output(["cmake", "--build", build, "--parallel"])
    return os.path.join(build, "detect")


def run_program(program, folder, images, class_names):
    """The Detections that the C++ program finds with an export in images (H, W, 3) uint8 RGB.

    Raises ExportError when the program fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        paths = [os.path.join(scratch, f"{number}.ppm") for number in range(len(images))]
        for path, image in zip(paths, images):
            cv2.imwrite(path, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        printed = _output([program, folder, *paths, "--json", "--score", "0"])
    return [_parsed(json.loads(line), class_names) for line in printed.splitlines()]


def run_onnx(path, exported, images, proposals=None):
    """The Detections that ONNX Runtime finds in images (H, W, 3) uint8 RGB with an ONNX model.

    exported: the ExportedDetector of the same network, which says how images are prepared.
    proposals: boxes (R, 4) of each image, if the network takes them.
    Raises ExportError where ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ExportError(f"{path}: to run it, install 'detkit[onnx]' ({error})") from error
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = []
    for number, image in enumerate(images):
        batch = exported.batch([image], proposals and [proposals[number]])
        inputs = {name: getattr(batch, name) for name in exported.manifest.inputs}
        outputs = session.run(None, inputs)
        names, first_label = exported.class_names, exported.manifest.first_label
        found += detections_of(batch, outputs, names, first_label)
    return found


def _parsed(image, class_names):
    found = image["detections"]
    masks = [each["mask"] for each in found if "mask" in each]
    return Detections(
        boxes=np.array([each["box"] for each in found], "float32").reshape(-1, 4),
        scores=np.array([each["score"] for each in found], "float32"),
        labels=np.array([each["label"] for each in found], "int32"),
        class_names=class_names,
        image_size=(image["height"], image["width"]),
        rles=masks or None,
    )


def _output(command):
    """What a command prints. Raises ExportError with the end of what it says when it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        line = " ".join(map(str, command))
        raise ExportError(f"the command failed: {line}\n{done.stderr.strip()[-2000:]}")
    return done.stdout
