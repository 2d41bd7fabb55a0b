"""Means and standard deviations of the box targets that a Fast R-CNN is trained on."""

from typing import NamedTuple, Tuple

import mxnet as mx
import numpy as np
from tqdm import tqdm

from detkit.build.data import build_dataset, build_loader
from detkit.build.model import detector_of
from detkit.build.train_step import train_step_of
from detkit.config import Config, place, section
from detkit.construct import construct
from detkit.errors import ConfigError, DataError
from detkit.registry import POSTPROCESS
from detkit.targets import RoITargets

BATCH = 8  # images
LEAST_STD = 1e-6  # of targets; a class whose targets are all the same has no measured deviation


class Measured(NamedTuple):
    """The statistics of the box targets of positive RoIs, in float64.

    class_names: K names. box_weights: the four numbers that the targets were multiplied by.
    counts: (K,) positive RoIs of each class.
    mean, std: (4,) of dx dy dw dh of all classes together.
    means, stds: (K, 4) of each class; mean and std for a class whose targets do not differ.
    """

    class_names: Tuple[str, ...]
    box_weights: Tuple[float, ...]
    counts: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    means: np.ndarray
    stds: np.ndarray


def measure_box_statistics(config: Config) -> Measured:
    """Returns the statistics of all positive candidates of an epoch of ``data.train``.

    The candidates are the proposals and the ground-truth boxes of RoITargets, before they are
    sampled (Girshick 2015, section 2.3). ``box_statistics`` of the config are not applied.

    Raises ConfigError for a detector that makes its own proposals, because these change in a
    training, and DataError for bad data or without a positive RoI.
    """
    detector = detector_of(config)
    if "proposals" not in detector.INPUTS:
        raise ConfigError(
            f"{place(config['model'], 'type')}: expected a detector whose proposals come with the "
            f"data, such as FastRCNN, found {config['model']['type']!r}; its proposals change "
            "during a training, and so do the statistics of their targets"
        )
    dataset = build_dataset(config, "train")
    postprocess = POSTPROCESS.build(section(config["model"], "postprocess"))
    node = section(section(config, "train_step"), "roi_targets")
    targets = construct(RoITargets, node, box_weights=postprocess.box_weights, box_statistics=None)
    loader = build_loader(config, "train", dataset, BATCH, train_step_of(detector).INPUTS)
    names = "proposals", "proposal_scores", "boxes", "labels"
    sums = _Sums(len(dataset.class_names))
    count = len(dataset) - len(loader.left_out)
    with tqdm(total=count, unit=" images", disable=None) as bar:
        for batch in loader.batches(epoch=0):
            _, labels, deltas, _ = targets.assign(*map(mx.nd.array, map(batch.array, names)))
            sums.add(labels.asnumpy(), deltas.asnumpy())
            bar.update(len(batch.sizes))
    return sums.measured(tuple(dataset.class_names), tuple(postprocess.box_weights), place(node))


class _Sums:
    """The number, the sum and the sum of squares of the targets of each class."""

    def __init__(self, num_classes: int) -> None:
        self._counts = np.zeros(num_classes, int)
        self._sums, self._squares = np.zeros((2, num_classes, 4))

    def add(self, labels: np.ndarray, targets: np.ndarray) -> None:
        """Adds the positive rows of labels (B, N), 1 + k for class k, and targets (B, N, 4)."""
        rows = targets[labels > 0].astype("float64")
        classes = labels[labels > 0].astype(int) - 1
        np.add.at(self._counts, classes, 1)
        np.add.at(self._sums, classes, rows)
        np.add.at(self._squares, classes, rows**2)

    def measured(
        self, class_names: Tuple[str, ...], box_weights: Tuple[float, ...], where: str
    ) -> Measured:
        """Returns the statistics. Raises DataError, which begins with ``where``, without any."""
        mean, std = _moments(self._counts.sum(), self._sums.sum(axis=0), self._squares.sum(axis=0))
        if not (std > LEAST_STD).all():
            raise DataError(
                f"{where}: expected positive RoIs whose boxes differ, found {self._counts.sum()} "
                f"with the standard deviations {std.tolist()}; check the proposals"
            )
        means, stds = _moments(self._counts[:, None], self._sums, self._squares)
        differ = (stds > LEAST_STD).all(axis=1, keepdims=True)
        means, stds = np.where(differ, means, mean), np.where(differ, stds, std)
        return Measured(class_names, box_weights, self._counts, mean, std, means, stds)


def _moments(
    counts: np.ndarray, sums: np.ndarray, squares: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """Returns means and standard deviations, both 0 without a row."""
    means = sums / np.maximum(counts, 1)
    return means, np.sqrt(np.maximum(squares / np.maximum(counts, 1) - means**2, 0))
