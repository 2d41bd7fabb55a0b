"""Times the stages of detectors: from the file of an image to its detections.

An .onnx is timed without MXNet, so that what configs and checkpoints need is imported late.
"""

import os
import time
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from detkit.data import Shapes
from detkit.data.given_images import read_images
from detkit.data.images import list_images
from detkit.data.one_class import OneClass
from detkit.errors import ConfigError, DataError
from detkit.export.runtimes.choice import is_exported
from detkit.loading import AnyDetector, load
from detkit.requirements import import_mxnet

if TYPE_CHECKING:
    from detkit.config import Config
    from detkit.detector import Detector

READ, RESIZE, NETWORK, REST = "read", "resize and pad", "network with NMS", "post-processing"
SIZE = (480, 640)  # height and width of the drawn images, in pixels
CLASSES = 80  # of a config whose data cannot be read


class Times(NamedTuple):
    """The milliseconds of an image in each stage, {stage: (n,)}, a number for each timed batch."""

    stages: Dict[str, np.ndarray]

    def of_image(self) -> np.ndarray:
        """Returns the milliseconds (n,) of all stages together."""
        total: np.ndarray = np.sum(list(self.stages.values()), axis=0)
        return total


def opened(
    path: str,
    overrides: Iterable[str] = (),
    runtime: Optional[str] = None,
    device: str = "auto",
) -> AnyDetector:
    """Returns the detector of a folder or an .onnx, or that of a config with random weights.

    runtime, device: see detkit.load.

    Raises the errors of detkit.load, and ConfigError for a detector that needs proposals.
    """
    detector: AnyDetector
    if os.path.isdir(path) or not _is_config(path):
        detector = load(path, device=device, runtime=runtime)
    else:
        detector = _untrained(path, overrides, device)
    if detector.takes_proposals:
        raise ConfigError(
            f"{path}: expected a detector that makes its own proposals, found {detector.name}"
        )
    return detector


def images_for(
    path: str, overrides: Iterable[str], given: Sequence[str], count: int
) -> Tuple[List[Any], str]:
    """Returns at most ``count`` images, as detect takes them, and words on what they are.

    given: files and folders, or none: those of data.val, or else drawn ones.
    """
    if given:
        return list(list_images(given)[:count]), "files"
    dataset = None if is_exported(path) else _dataset_of(path, overrides)
    if dataset is not None:
        chosen = range(min(count, len(dataset)))
        if hasattr(dataset, "image_path"):
            return [dataset.image_path(index) for index in chosen], "the first of data.val"
        return [dataset.image(index) for index in chosen], "the first of data.val, in memory"
    shapes = Shapes(length=count, size=SIZE)
    return [shapes.image(index) for index in range(count)], "drawn shapes, in memory"


def take_turns(
    detectors: Sequence[AnyDetector], images: Sequence[Any], batch: int, rounds: int
) -> List[Times]:
    """Returns the Times of each detector; they take turns at each batch, after a round untimed.

    batch: the number of images that go through the network at once; the last ones are filled up
        with the first.
    """
    wanted = -(-len(images) // batch) * batch
    filled = [images[index % len(images)] for index in range(wanted)]
    batches = [filled[start : start + batch] for start in range(0, wanted, batch)]
    measured: List[List[List[float]]] = [[] for _ in detectors]
    for turn in range(1 + rounds):
        for each in batches:
            for detector, rows in zip(detectors, measured):
                row = stages(detector, each)
                if turn:
                    rows.append(row)
    names = (READ, RESIZE, NETWORK, REST)
    return [Times(dict(zip(names, np.transpose(rows)))) for rows in measured]


def stages(detector: AnyDetector, images: Sequence[Any]) -> List[float]:
    """Returns the milliseconds of an image in each stage."""
    clock = [time.perf_counter()]
    arrays = read_images(images, detector.max_pixels)
    clock.append(time.perf_counter())
    batch = detector.batch(arrays)
    clock.append(time.perf_counter())
    outputs = detector.outputs(batch)
    clock.append(time.perf_counter())
    detector.detections(batch, outputs)
    clock.append(time.perf_counter())
    return [float(taken) for taken in np.diff(clock) * 1000 / len(images)]


def _is_config(path: str) -> bool:
    return not os.path.isfile(path) or path.endswith((".yaml", ".yml"))


def _dataset_of(path: str, overrides: Iterable[str]) -> Any:
    from detkit.commands.sources import config_of

    config = config_of(path, overrides)
    return None if config is None else _dataset(config)


def _dataset(config: "Config") -> Any:
    """Returns data.val, or None if it cannot be read here."""
    from detkit.build import build_dataset

    try:
        return build_dataset(config, "val")
    except DataError:
        return None


def _untrained(path: str, overrides: Iterable[str], device: str) -> "Detector":
    import_mxnet()  # or say what to install
    from detkit.build import build_model, choose_operators, open_config
    from detkit.build.load import detector_for
    from detkit.build.model import detector_of
    from detkit.device import find_device

    config = open_config(path, overrides)
    dataset = _dataset(config)
    names = [f"class {n}" for n in range(CLASSES)] if dataset is None else dataset.class_names
    if not detector_of(config).TELLS_CLASSES:
        names = OneClass.class_names
    ctx = find_device(device)
    choose_operators(config, ctx)
    model = build_model(config, names, ctx, pretrained=False)
    return detector_for(config, model, names, ctx)
