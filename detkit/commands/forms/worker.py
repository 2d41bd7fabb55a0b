"""The process of one form: it opens the detector, detects, and is timed when it is asked.

The process imports nothing that the detector does not need, so that its memory is that of a program
which only detects.
"""

import functools
import importlib
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2

from detkit.commands.timing import stages
from detkit.detections import Detections
from detkit.errors import ExportError, ImageError
from detkit.loading import AnyDetector, load
from detkit.threshold import Threshold

STATUS = "/proc/self/status"  # of Linux
PEAK = "VmHWM:"  # the largest resident memory, in kB


class Opened(NamedTuple):
    """A detector that was opened, as far as its form is concerned.

    classes: their names. device: in the runtime's words. version: that of the runtime. threshold:
    the least scores of what is detected by default, or None.
    """

    classes: Tuple[str, ...]
    device: str
    version: str
    threshold: Optional[Threshold]


def open_form(path: str, runtime: str, device: str, threads: Optional[int]) -> Opened:
    """Opens the detector of this process.

    threads: of OpenCV; the runtimes read OMP_NUM_THREADS.

    Raises the errors of detkit.load, and ExportError for a detector that takes proposals.
    """
    if threads is not None:
        cv2.setNumThreads(threads)
    detector: Any = _detector(path, runtime, device)
    if detector.takes_proposals:
        raise ExportError(
            f"{path}: expected a detector that makes its own proposals, found {detector.name}, "
            "which takes them"
        )
    version = str(importlib.import_module(runtime).__version__).split("-")[0]
    return Opened(detector.class_names, detector.device, version, detector.threshold)


def detect(form: Tuple[str, str, str], images: Sequence[str]) -> List[Optional[Detections]]:
    """Returns all Detections of each image, and None for an image that cannot be decoded.

    form: path, runtime and device, those that were opened.
    """
    found: List[Optional[Detections]] = []
    for image in images:
        try:
            found.append(_detector(*form).detect(image, score=0))
        except ImageError:
            found.append(None)
    return found


def time_round(form: Tuple[str, str, str], images: Sequence[str]) -> List[float]:
    """Returns the milliseconds that each image takes, from its file to its detections."""
    return [sum(stages(_detector(*form), [image])) for image in images]


def peak_memory() -> Optional[int]:
    """Returns the largest resident memory of this process in bytes, or None if no one says it.

    getrusage would not do: its figure includes the process that this one was started from.
    """
    try:
        with open(STATUS, encoding="ascii") as file:
            found: Dict[str, List[str]] = {words[0]: words[1:] for words in map(str.split, file)}
    except OSError:
        return None
    return 1024 * int(found[PEAK][0]) if PEAK in found else None


@functools.lru_cache(maxsize=1)
def _detector(path: str, runtime: str, device: str) -> AnyDetector:
    return load(path, device=device, runtime=runtime)
