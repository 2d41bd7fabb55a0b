"""The sections ``data``, ``tta`` and ``evaluate`` -> datasets, batches, views and an evaluator."""

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Type

import numpy as np

from detkit.build.left_out import find_left_out
from detkit.build.model import detector_of
from detkit.build.train_step import chosen_step
from detkit.config import Config, place, require, section, without
from detkit.config.yaml import Node
from detkit.construct import construct, signature
from detkit.data.batch import make_batch
from detkit.data.caches import DiskCache, ImageCache, MemoryCache
from detkit.data.images import MAX_PIXELS
from detkit.data.loader import Loader
from detkit.data.one_class import OneClass
from detkit.data.precomputed import load_proposals
from detkit.data.sample import Batch, Dataset, Transform
from detkit.errors import ConfigError, DataError
from detkit.models import Network
from detkit.registry import DATASETS, EVALUATORS, TRANSFORMS
from detkit.tta import TTA
from detkit.wording import did_you_mean

PROPOSALS = ("train_proposals", "val_proposals")  # that a training may read
TEST, TEST_PROPOSALS = "test", "test_proposals"  # what no training reads
TRAINING_ONLY = ("mirrors", "mixes", "training_only")  # attributes of transforms
TRANSFORMED = ("train_transforms", "val_transforms")
LOADING = ("pad_multiple", "workers", "group_aspect", "bad_images")
CACHES: Dict[str, Callable[..., ImageCache]] = {"memory": MemoryCache, "disk": DiskCache}
TRAINING = ("reduced_decoding",)  # what only the images of a training are loaded by
DATA_KEYS = (
    *("train", "val", TEST),
    *(*PROPOSALS, TEST_PROPOSALS),
    *("augment", *TRANSFORMED, *LOADING, *TRAINING),
    *("cache", "max_pixels", "filter"),
)


def build_dataset(config: Config, split: str) -> Dataset:
    """Returns the dataset ``data.train``, ``val`` or ``test``, with the classes of the detector.

    A detector that does not tell classes apart (an RPN) has one class.

    Raises ConfigError, and DataError with the place of the section.
    """
    if split == TEST and config["data"].get(TEST) is None:
        raise ConfigError(
            f"{place(config['data'])}: expected the key test, the images that the split test "
            "judges, found none; add it beside train and val, for example with --set "
            "'data.test={type: COCO, annotations: test.json, images: images}'"
        )
    dataset = read_dataset(config, split)
    return dataset if detector_of(config).TELLS_CLASSES else OneClass(dataset)


def read_dataset(config: Config, split: str) -> Dataset:
    """Returns the dataset ``data.train``, ``val`` or ``test``, with all its classes.

    Raises as ``build_dataset`` does.
    """
    node, _ = _section_of(config, split)
    try:
        dataset = _dataset_of(node, max_pixels_of(config))
    except DataError as error:
        raise DataError(f"{place(node)}: {error}") from error
    return dataset


def _dataset_of(node: Node, max_pixels: int) -> Dataset:
    """Returns the dataset of a section, and of the sections in it if it is made of datasets."""
    kind = DATASETS.get(require(node, "type"), place(node, "type"))
    derived: Dict[str, Any] = {}
    if "max_pixels" in signature(kind)[0]:  # a dataset of image files
        derived["max_pixels"] = max_pixels
    inner = getattr(kind, "WRAPS", None)
    if inner == "dataset":
        derived[inner] = _dataset_of(require(node, inner, dict), max_pixels)
    elif inner == "datasets":
        derived[inner] = [_dataset_of(n, max_pixels) for n in require(node, inner, List[dict])]
    dataset: Dataset = DATASETS.build(without(node, inner) if inner else node, **derived)
    return dataset


def check_test(config: Config) -> None:
    """Raises ConfigError for a ``data.test`` that is no dataset; a training does not read it."""
    if config["data"].get(TEST) is not None:
        _section_of(config, TEST)


def _section_of(config: Config, split: str) -> Tuple[Node, Callable[..., Any]]:
    node = require(config["data"], split, dict)
    return node, DATASETS.get(require(node, "type"), place(node, "type"))


def build_transforms(config: Config, split: str) -> List[Transform]:
    """Returns the transforms of ``data.train`` or ``data.val``, in their order.

    Raises ConfigError, also for those of "val" that only training allows.
    """
    nodes = require(config["data"], f"{split}_transforms", List[dict])
    transforms: List[Transform] = [TRANSFORMS.build(node) for node in nodes]
    for node, transform in zip(nodes, transforms):
        if split == "val" and any(getattr(transform, name, False) for name in TRAINING_ONLY):
            raise ConfigError(
                f"{place(node)}: expected a transform that does not mirror, cut or mix images, "
                f"because detections are not moved back, found {node['type']!r}; move it to "
                "data.train_transforms"
            )
    return transforms


def build_tta(config: Config) -> TTA:
    """Returns the TTA of a config; without a section ``tta``, all settings have their defaults.

    Raises ConfigError with the place, also if ``data.val_transforms`` give no size.
    """
    tta: TTA = construct(TTA, section(config, "tta"))
    try:
        tta.views(build_transforms(config, "val"), pad_multiple_of(config))
    except ValueError as error:
        raise ConfigError(f"{place(config, 'tta')}: {error}") from error
    return tta


def build_loader(
    config: Config,
    split: str,
    dataset: Dataset,
    batch_size: int,
    inputs: Optional[Sequence[str]] = None,
    as_on_disk: bool = False,
    batched: Callable[..., Any] = make_batch,
    cache: Optional[ImageCache] = None,
) -> Loader:
    """Returns the Loader of ``dataset``, which is the ``split`` "train", "val" or "test".

    inputs: TrainStep.INPUTS, to load the masks, fields and proposals that the step takes; None:
        those of the detector alone.
    as_on_disk: whether the images stay as they are on disk, as a TTADetector takes them.
    batched: see Loader.
    cache: that of ``build_cache``, which several loaders may share, or None.

    A Loader of "train" with inputs is for training: it uses ``data.train_transforms``, shuffles by
    the seed, and leaves out the images that ``data.filter`` says. Every other one uses
    ``data.val_transforms`` and keeps the order of the images.
    """
    training = split == "train" and inputs is not None
    proposals = build_proposals(config, split, dataset, inputs)
    transforms = build_transforms(config, "train" if training else "val")
    return construct(
        Loader,
        _only(config["data"], *LOADING, *(TRAINING if training else ())),
        dataset=dataset,
        transforms=() if as_on_disk else transforms,
        batch_size=batch_size,
        seed=config.get("seed", 0),
        shuffle=training,
        masks="masks" in (inputs or ()),
        fields=[name for name in inputs or () if name not in Batch._fields],
        proposals=proposals,
        batched=batched,
        cache=cache,
        left_out=find_left_out(config, dataset, proposals) if training else {},
    )


def build_cache(config: Config) -> Optional[ImageCache]:
    """Returns the cache that ``data.cache`` describes, or None. Raises ConfigError."""
    if config["data"].get("cache") is None:
        return None
    node = require(config["data"], "cache", dict)
    kind = require(node, "type", str)
    if kind not in CACHES:
        raise ConfigError(
            f"{place(node, 'type')}: expected {' or '.join(CACHES)}, found {kind!r}"
            f"{did_you_mean(kind, CACHES)}"
        )
    cache: ImageCache = construct(CACHES[kind], without(node, "type"))
    return cache


def build_proposals(
    config: Config, split: str, dataset: Dataset, inputs: Optional[Sequence[str]] = None
) -> Optional[Dict[Any, np.ndarray]]:
    """Returns {image_id: boxes (R, 4)} of ``data.train_proposals`` or those of another split.

    Returns None if neither the detector nor, with ``inputs``, its training step takes them.

    inputs: as in build_loader.
    """
    if "proposals" not in {*detector_of(config).INPUTS, *(inputs or ())}:
        return None
    node = require(config["data"], f"{split}_proposals", dict)
    try:
        return construct(load_proposals, node, dataset=dataset)
    except DataError as error:
        raise DataError(f"{place(node)}: {error}") from error


def taken_proposals(config: Config, detector: Type[Network]) -> Sequence[str]:
    """Returns the keys of PROPOSALS that a training of ``detector`` reads in ``data``.

    A training step may take proposals although the detector makes its own. It takes those of
    ``data.val`` only for ``train.val_loss``.
    """
    if "proposals" in detector.INPUTS:
        return PROPOSALS
    if "proposals" not in chosen_step(config, detector).INPUTS:
        return ()
    return PROPOSALS if section(config, "train").get("val_loss") else PROPOSALS[:1]


def pad_multiple_of(config: Config) -> int:
    """Returns the number that divides the sides of every batch, in pixels."""
    return config["data"].get("pad_multiple", 32)


def max_pixels_of(config: Config) -> int:
    """Returns the largest number of pixels of an image file that is decoded.

    Raises ConfigError unless ``data.max_pixels`` is a whole number of at least 1.
    """
    data = config["data"]
    if "max_pixels" not in data:
        return MAX_PIXELS
    pixels: int = require(data, "max_pixels", int)
    if pixels < 1:
        raise ConfigError(f"{place(data, 'max_pixels')}: expected at least 1, found {pixels}")
    return pixels


def build_evaluator(config: Config) -> Callable[..., Dict[str, Any]]:
    """Returns the evaluator: a function from a dataset and detections to metrics by name."""
    return EVALUATORS.build(require(config, "evaluate", dict))


def _only(node: Node, *keys: str) -> Node:
    return without(node, *(key for key in node if key not in keys))
