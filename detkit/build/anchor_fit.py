"""How well the anchors of a config fit the boxes that its network sees."""

from typing import NamedTuple, Optional, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from detkit.build.data import build_dataset, build_loader
from detkit.build.model import build_model, detector_of
from detkit.config import Config, place, section
from detkit.data.anchor_recall import Grid
from detkit.data.anchor_sizes import MATCHABLE, shape_iou
from detkit.data.sample import Dataset
from detkit.device import find_device
from detkit.errors import ConfigError, DataError

LEAST_CELLS = 2  # that the side of a small object should cover
SMALL, LARGE = 5, 95  # percentiles that count as small and large
STRIDES = (4, 8, 16, 32)  # of the maps of most backbones


class Anchors(NamedTuple):
    """The anchors of a config.

    sides: widths and heights (A, 2) of the anchors of all levels. strides: those of the levels.
    is_grid: whether they are an AnchorGrid's, which takes sizes.
    offset, straddle: see Grid.
    """

    sides: np.ndarray
    strides: Tuple[float, ...]
    is_grid: bool
    offset: float
    straddle: Optional[float]

    def grid(self, sides: np.ndarray, pad_multiple: int) -> Grid:
        """Returns the Grid of shapes (A, 2) of all levels, which have equally many each."""
        strides = np.repeat(self.strides, len(sides) // len(self.strides))
        return Grid(sides, strides, self.offset, self.straddle, pad_multiple)


class SeenBoxes(NamedTuple):
    """Boxes (M, 4) in pixels of the network's input, and the sizes (M, 2) of their images, h w."""

    boxes: np.ndarray
    sizes: np.ndarray


def boxes_of(config: Config, split: str) -> np.ndarray:
    """Returns widths and heights (M, 2) of ``seen_boxes``."""
    boxes = seen_boxes(config, split).boxes
    sides: np.ndarray = boxes[:, 2:] - boxes[:, :2]
    return sides


def seen_boxes(config: Config, split: str) -> SeenBoxes:
    """Returns the boxes of a split as the network sees them.

    ``data.train_transforms`` are applied to images of data.train, as in the first epoch, and
    ``data.val_transforms`` to others. Difficult objects do not count. Raises the errors of
    build_dataset and of the Loader, and DataError without a box.
    """
    dataset = build_dataset(config, split)
    loader = build_loader(config, split, dataset, 1, () if split == "train" else None)
    found, sizes = [np.zeros((0, 4))], [np.zeros((0, 2))]
    with tqdm(total=len(dataset) - len(loader.left_out), unit=" images", disable=None) as bar:
        for batch in loader.batches(epoch=0):
            boxes = batch.boxes[batch.labels >= 0]
            found.append(boxes)
            sizes.append(np.repeat(batch.sizes, len(boxes), axis=0))
            bar.update(len(batch.sizes))
    boxes = _some(np.concatenate(found), place(config["data"], split))
    return SeenBoxes(boxes, np.concatenate(sizes))


def boxes_on_disk(
    dataset: Dataset, where: str, short: Optional[int] = None, long: Optional[int] = None
) -> np.ndarray:
    """Returns widths and heights (M, 2) of the boxes of a dataset, in pixels of resized images.

    short, long: the shorter side of the resized images, and the most that the longer side may have,
        by default 5/3 of it; None leaves the images as they are.
    where: the place that a message begins with.
    """
    sides = [np.zeros((0, 2))]
    for index in range(len(dataset)):
        one = dataset.annotation(index)
        scale = 1.0
        if short is not None:
            most = long if long is not None else short * 5 / 3
            small, large = sorted((one.width, one.height))
            scale = min(short / small, most / large)
        boxes = one.boxes[~one.difficult]
        sides.append((boxes[:, 2:] - boxes[:, :2]) * scale)
    return _some(np.concatenate(sides), where)


def anchors_of(config: Config, class_names: Sequence[str]) -> Anchors:
    """Returns the anchors of ``model.anchors``. Raises ConfigError for a detector without them."""
    if "anchors" not in detector_of(config).PARTS:
        raise ConfigError(
            f"{place(config['model'], 'type')}: expected a detector with anchors, found "
            f"{config['model']['type']!r}, whose proposals come with the data"
        )
    grid = build_model(config, class_names, find_device("cpu"), pretrained=False).anchors
    corners = np.concatenate(grid.shapes)
    node = config["model"]["anchors"]
    is_grid = node.get("type", "AnchorGrid") == "AnchorGrid"
    targets = section(config, "train_step").get("rpn_targets")
    straddle = None if targets is None else targets.get("straddle", 0.0)
    sides = corners[:, 2:] - corners[:, :2]
    return Anchors(sides, tuple(grid.strides), is_grid, node.get("offset", 0.5), straddle)


def unmatched_by(boxes: np.ndarray, sides: np.ndarray) -> float:
    """Returns the share of boxes (M, 2) that reach MATCHABLE with none of the sides (A, 2)."""
    return float((shape_iou(boxes, sides).max(axis=1) < MATCHABLE).mean())


def proposed_stride(boxes: np.ndarray) -> int:
    """Returns the largest of STRIDES at which a small object covers LEAST_CELLS cells."""
    small = np.percentile(np.sqrt(boxes.prod(axis=1)), SMALL)
    return max((stride for stride in STRIDES if LEAST_CELLS * stride <= small), default=STRIDES[0])


def _some(sides: np.ndarray, where: str) -> np.ndarray:
    if not len(sides):
        raise DataError(f"{where}: expected objects, whose boxes are measured, found none")
    return sides
