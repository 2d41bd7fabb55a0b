"""The config of a training on a user's own data: short, with comments, and trainable as it is."""

import json
import math
import os
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from detkit.data.anchor_sizes import AnchorSizes, propose_anchors
from detkit.data.own_data import OwnData, Part, path_of
from detkit.data.presets import preset_for
from detkit.data.splits import SHARES
from detkit.data.writers.coco import annotations_of
from detkit.errors import DataError
from detkit.files.disk import make_folder, whole_file
from detkit.threads import physical_cores
from detkit.wording import first_few

BASE = "bccd/faster_rcnn_mobilenet_v2_fpn_bccd"
LR = 0.005  # the base's, for one image a step
STRIDES = (4, 8, 16, 32, 64)  # of the base's levels
CONFIG, ANNOTATIONS = "config.yaml", "annotations"

# Sides of objects at the network's input, in pixels: 5 % are smaller than the first, half are
# smaller than the second. A cell of the finest level has 4 pixels, and an RoI 7 x 7 cells.
SMALL_SIDE, MIDDLE_SIDE = 16, 64
SHORTEST, LONGEST, STEP = 320, 640, 32  # of the images' short side
MOST_ENLARGED = 2

IMAGES_A_CORE = 1500  # trained on, some ten minutes of the base
LEAST_IMAGES, MOST_IMAGES = 3000, 24_000
MOST_EPOCHS = 100
CORES_A_BATCH_IMAGE, MOST_BATCH, GIGABYTES_AN_IMAGE = 4, 4, 2
WARMUP = 100  # steps, at most a tenth of the run


class Given(NamedTuple):
    """A network that is trained on other data than its config's.

    base: the path of the config, which has the anchors and sizes of images.
    lr: its learning rate for one image a step.
    """

    base: str
    lr: float


class Machine(NamedTuple):
    """The cores and the memory in gigabytes, by which a run gets its length and batches."""

    cores: int
    memory: float


def this_machine() -> Machine:
    """Returns the physical cores that this process may use, and the memory of the machine."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(physical_cores(), pages / 2**30)


class Length(NamedTuple):
    """Arguments of ``train``: see ``length_of``."""

    epochs: int
    batch_size: int
    lr: float
    warmup: int
    every: int


def length_of(images: int, machine: Machine, lr: float = LR) -> Length:
    """Returns the epochs, batch size, learning rate, warm-up and interval of evaluations.

    images: those that are trained on. lr: the learning rate for one image a step.

    Few cores take one image a step, which makes the most updates of a small dataset. More cores
    share a larger batch, whose learning rate grows in proportion (Goyal et al. 2017). A run has at
    most some ten evaluations, or one an epoch.
    """
    room = int(machine.memory // GIGABYTES_AN_IMAGE)
    batch = max(1, min(machine.cores // CORES_A_BATCH_IMAGE, MOST_BATCH, room, images // 8))
    seen = min(max(IMAGES_A_CORE * machine.cores, LEAST_IMAGES), MOST_IMAGES)
    epochs = min(max(round(seen / images), 1), MOST_EPOCHS)
    steps = epochs * math.ceil(images / batch)
    warmup = min(WARMUP, steps // 10)
    return Length(epochs, batch, float(f"{lr * batch:.3g}"), warmup, max(1, epochs // 10))


def short_side(sides: np.ndarray, images: np.ndarray) -> Tuple[int, int]:
    """Returns the arguments ``short`` and ``long`` of Resize.

    sides: (M, 2) widths and heights of objects in pixels. images: (M, 2), those of their images.

    The short side is the least multiple of STEP at which objects have the sides SMALL_SIDE and
    MIDDLE_SIDE or more. It is from SHORTEST to LONGEST, and above SHORTEST at most MOST_ENLARGED
    times that of the images.
    """
    shares = np.sqrt(sides.prod(axis=1)) / images.min(axis=1)
    small, middle = np.percentile(shares, (5, 50))
    wanted = max(SMALL_SIDE / small, MIDDLE_SIDE / middle)
    most = min(LONGEST, MOST_ENLARGED * float(np.median(images.min(axis=1))))
    short = STEP * math.ceil(max(min(wanted, most), SHORTEST) / STEP)
    ratio = min(max(float(np.percentile(images.max(axis=1) / images.min(axis=1), 95)), 4 / 3), 2)
    return short, STEP * math.ceil(short * ratio / STEP)


def write_own(
    folder: Path, own: OwnData, seed: int, machine: Machine, given: Optional[Given] = None
) -> Path:
    """Writes config.yaml and annotations/instances_SPLIT.json into a folder; returns the config.

    given: the network; None chooses a small one, and its anchors and sizes of images.

    Files of these names that are there already are kept under others, NAME.1, NAME.2, ...

    Raises DataError if a file cannot be written.
    """
    paths = [path_of(part.dataset, i) for part in own.parts.values() for i in part.indices]
    images = Path(os.path.commonpath([path.parent for path in paths]))
    make_folder(folder / ANNOTATIONS)
    sections: Dict[str, Any] = {}
    for split, part in own.parts.items():
        file = Path(os.path.abspath(folder / ANNOTATIONS / f"instances_{split}.json"))
        content = annotations_of(part.dataset, part.indices, images)
        _write(file, json.dumps(content))
        sections[split] = {"type": "COCO", "annotations": str(file), "images": str(images)}
    config = folder / CONFIG
    _write(config, config_text(own, sections, seed, machine, given))
    return config


def _write(path: Path, text: str) -> None:
    """Writes a file; one that is there already gets a number."""
    if os.path.lexists(path):
        numbers = (number for number in range(1, 1 << 20))
        others = (path.with_name(f"{path.name}.{number}") for number in numbers)
        try:
            os.rename(path, next(other for other in others if not os.path.lexists(other)))
        except OSError as error:
            raise DataError(f"{path}: cannot be renamed: {error.strerror}") from error
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def config_text(
    own: OwnData,
    sections: Mapping[str, Mapping[str, Any]],
    seed: int,
    machine: Machine,
    given: Optional[Given] = None,
) -> str:
    """Returns the YAML of a config.

    sections: {split: section of ``data``}. given: see write_own.
    """
    train = own.parts["train"]
    network: Sequence[str] = ()
    resize: Sequence[str] = ()
    if given is None:
        network, resize = _chosen_lines(train)
    base, lr = (BASE, LR) if given is None else (_text(given.base), given.lr)
    images = len(train.indices)
    lines = [
        f"# {_classes(train.dataset.class_names)}.",
        f"# Written by detkit, which read {own.source.layout} ({own.source.reason}).",
        "",
        f"_base_: {base}",
        f"seed: {seed}",
        "",
        *network,
        *_data_lines(sections),
        *resize,
        "",
        *_train_lines(length_of(images, machine, lr), machine, images, lr),
        "",
        "evaluate: {_delete_: true, type: COCOEvaluator}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _chosen_lines(train: Part) -> Tuple[Sequence[str], Sequence[str]]:
    """Returns the lines of ``model``, and those of the transforms, by the objects of a part."""
    sides, images = _sides(train)
    if not len(sides):
        raise DataError("train: expected objects, found none; annotate more images")
    short, long = short_side(sides, images)
    sides = sides * np.minimum(short / images.min(axis=1), long / images.max(axis=1))[:, None]
    transforms = [*_resize_lines(short, long), *_augment_lines(len(train.indices))]
    return _anchor_lines(propose_anchors(sides, STRIDES), sides), transforms


def _anchor_lines(anchors: AnchorSizes, sides: np.ndarray) -> Sequence[str]:
    low, middle, high = np.percentile(np.sqrt(sides.prod(axis=1)), (5, 50, 95))
    return [
        "model:",
        f"  # Sides of the objects after resizing: 5 % below {low:.0f} pixels, median "
        f"{middle:.0f}, 5 % above {high:.0f}.",
        f"  # No anchor reaches an IoU of 0.5 with {anchors.unmatched:.1%} of them.",
        f"  anchors: {{sizes: {anchors.sizes}, ratios: {anchors.ratios}}}",
        "",
    ]


def _data_lines(sections: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    lines = ["data:", "  # Absolute paths: the config can be used from any folder."]
    for split in SHARES:
        section = sections.get(split)
        lines.append(f"  {split}: {'null' if section is None else _flow(section)}")
    return lines


def _resize_lines(short: int, long: int) -> Sequence[str]:
    resize = f"    - {{type: Resize, short: {short}, long: {long}}}"
    return [
        f"  # The least size from {SHORTEST} to {LONGEST} at which half of the objects have "
        f"{MIDDLE_SIDE} pixels, and 95 % {SMALL_SIDE}.",
        "  train_transforms:",
        resize,
        "    - {type: HorizontalFlip}",
        "  val_transforms:",
        resize,
    ]


def _augment_lines(images: int) -> Sequence[str]:
    return [
        f"  # A preset of augmentation may help. With {images} training images, try "
        f"{preset_for(images)}:",
        "  # the fewer images, the more of it.",
        "  augment: null",
    ]


def _train_lines(length: Length, machine: Machine, images: int, lr: float) -> Sequence[str]:
    intervals = [f"  {name}: {length.every}" for name in ("evaluate_every", "checkpoint_every")]
    return [
        "train:",
        f"  # {IMAGES_A_CORE} images for each of {machine.cores} cores, at least {LEAST_IMAGES}: "
        f"{length.epochs} times {images}. --time 30m sets a time instead.",
        f"  epochs: {length.epochs}",
        *(intervals if length.every > 1 else ()),
        f"  # An image for every {CORES_A_BATCH_IMAGE} cores, at least 1, at a rate of {lr:g}.",
        f"  batch_size: {length.batch_size}",
        f"  lr: {length.lr}",
        f"  schedule: {{_delete_: true, type: CosineSchedule, warmup_steps: {length.warmup}}}",
    ]


def _classes(names: Sequence[str]) -> str:
    """Returns the class names for a comment, which one with a line break would end."""
    shown = first_few([name if name.isprintable() else repr(name) for name in names], 20)
    return f"{len(names)} class{'es' * (len(names) > 1)}: {shown}"


def _flow(section: Mapping[str, Any]) -> str:
    """Returns a section in one line. JSON's texts are YAML's; "${" would be a reference."""
    values = (f"{key}: {_text(value)}" for key, value in section.items())
    return f"{{_delete_: true, {', '.join(values)}}}"


def _text(value: str) -> str:
    text = json.dumps(value, ensure_ascii=False).replace("${", "$${")
    return value if value.isalnum() else text


def _sides(part: Part) -> Tuple[np.ndarray, np.ndarray]:
    """Returns the widths and heights (M, 2) of the objects of a part, and those of their images."""
    sides: List[np.ndarray] = [np.zeros((0, 2))]
    images: List[np.ndarray] = [np.zeros((0, 2))]
    for index in part.indices:
        one = part.dataset.annotation(index)
        boxes = one.boxes[~one.difficult].astype(float)
        sides.append(np.maximum(boxes[:, 2:] - boxes[:, :2], 1))
        images.append(np.tile([float(one.width), float(one.height)], (len(boxes), 1)))
    return np.concatenate(sides), np.concatenate(images)
