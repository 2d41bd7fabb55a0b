"""A frame with its detections, as all forms of saving share it."""

import os
from functools import cached_property
from pathlib import Path
from typing import List, NamedTuple, Optional, Protocol, Sequence, Tuple

import cv2
import numpy as np

from detkit.data.keypoints import Keypoints
from detkit.data.sample import Annotation, Faults
from detkit.data.writers import IMAGES
from detkit.data.writers.entries import Entry
from detkit.detections import Detections
from detkit.detections.coco_labels import category_ids_of
from detkit.detections.draw import draw_detections
from detkit.errors import DataError
from detkit.predictions.frames import Frame
from detkit.segmentations import Segmentation

SPLIT = "train"  # a dataset without splits is one that one trains on
LINKS = ("symlink", "hardlink", "copy", "none")
QUALITY = 95  # of the JPEGs of frames
VISIBLE = 2.0  # COCO's flag of a labelled keypoint that can be seen


class Target(NamedTuple):
    """The place of a form, and what its files need beside the results.

    folder: of the form.
    class_names: of the detector.
    images: one of LINKS, how image files get into the folder of a dataset.
    """

    folder: Path
    class_names: Sequence[str]
    images: str = LINKS[0]


class Save(Protocol):
    """The protocol of a form: it gets each result in its turn, and is closed once."""

    def add(self, result: "Result") -> None:
        """Writes a result. Raises DataError if that is impossible."""

    def close(self) -> None:
        """Completes the files, also after an error or an interrupt."""


class Result:
    """A frame and what was found in it.

    index: the number of frames before it.
    found: the detections that are saved, the best first.
    """

    def __init__(self, index: int, frame: Frame, found: Detections) -> None:
        self.index, self.frame, self.found = index, frame, found

    @property
    def height(self) -> int:
        """The height of the frame in pixels."""
        return int(self.frame.image.shape[0])

    @property
    def width(self) -> int:
        """The width of the frame in pixels."""
        return int(self.frame.image.shape[1])

    @cached_property
    def drawn(self) -> np.ndarray:
        """The frame with all detections, (H, W, 3) uint8 RGB."""
        return draw_detections(self.frame.image, self.found, score_floor=0)

    @property
    def file(self) -> Optional[Path]:
        """The image file that the frame is from; None for a frame of a video."""
        return Path(self.frame.source.path) if self.frame.number is None else None

    @property
    def file_name(self) -> str:
        """The name of the frame's image in the folder of a dataset; it may have a folder."""
        return self.frame.name + (self.file.suffix if self.file else ".jpg")

    @cached_property
    def usable(self) -> Detections:
        """The detections whose box has an area within the frame, clipped to it.

        A reader of a dataset would drop the others.
        """
        limits = np.array([self.width, self.height] * 2, np.float32)
        boxes = np.clip(self.found.boxes, 0, limits)
        kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        found = self.found[kept]
        found.boxes[:] = boxes[kept]
        return found

    def entry(self, name: Optional[str] = None) -> Entry:
        """Returns the frame as the writers of datasets take it.

        name: of the image in the dataset; by default file_name.
        """
        found = self.usable
        outlines: List[Optional[Segmentation]] = [None] * len(found)
        if found.has_masks:
            outlines = [found.rle(row) for row in range(len(found))]
        shot = _Shot(self)
        return Entry(shot, SPLIT, self.index, name or self.file_name, shot.annotation(0), outlines)

    def put_image(self, target: Path, images: str) -> None:
        """Puts the frame's image at ``target``: the file, or a JPEG of a frame of a video.

        images: one of LINKS; "none" does nothing. Raises DataError, also for a file that is there.
        """
        if images not in IMAGES:
            return
        if self.file is not None:
            shot = _ShotOfFile(self)
            self.entry()._replace(dataset=shot).put_image(target, images)
            return
        put_jpeg(target, self.frame.image)


class _Shot:
    """The dataset of one frame."""

    def __init__(self, result: Result) -> None:
        found = result.usable
        self.class_names: Tuple[str, ...] = tuple(found.class_names)
        self.category_ids = category_ids_of(found.class_names)
        self.dropped: Faults = []
        self.bad_images: Faults = []
        self._result = result
        count = 0 if found.keypoints is None else found.keypoints.shape[1]
        self.keypoint_names = [str(number) for number in range(1, count + 1)]

    def __len__(self) -> int:
        return 1

    def annotation(self, index: int) -> Annotation:
        """Returns the detections as objects; their image id is the number of the frame from 1."""
        found, result = self._result.usable, self._result
        return Annotation(
            image_id=result.index + 1,
            width=result.width,
            height=result.height,
            boxes=found.boxes,
            labels=found.labels,
            difficult=np.zeros(len(found), bool),
        )

    def image(self, index: int) -> np.ndarray:
        """Returns the frame (H, W, 3) uint8 RGB."""
        return self._result.frame.image

    def masks(self, index: int) -> Optional[np.ndarray]:
        """Returns None: the entry has the outlines."""
        return None

    def field(self, name: str, index: int) -> Keypoints:
        """Returns the keypoints, each of which counts as visible."""
        points = np.array(self._result.usable.keypoints, np.float32)
        points[..., 2] = VISIBLE
        return Keypoints(points, ())


class _ShotOfFile(_Shot):
    """The dataset of one image file."""

    def image_path(self, index: int) -> Path:
        """Returns the file."""
        return Path(self._result.frame.source.path)


def put_jpeg(target: Path, rgb: np.ndarray) -> None:
    """Writes an image (H, W, 3) uint8 RGB as JPEG. Raises DataError."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), quality)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data.tobytes())
    except OSError as error:
        raise DataError(f"{target}: cannot be written: {error.strerror}") from error


def own_folder(folder: Path) -> Path:
    """Makes a folder and returns it. Raises DataError if it holds anything already."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(os.scandir(folder)):
            raise DataError(
                f"{folder}: expected a new or an empty folder, found one with files; remove it, or "
                "choose another --out"
            )
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror}") from error
    return folder
