"""The checks before the first step of a training, and the ten lines that describe it."""

import itertools
import re
from typing import Dict, Iterator, List, Sequence, Tuple

import numpy as np

from detkit.build.training import Training
from detkit.config import place
from detkit.data.anchor_sizes import MATCHABLE, propose_anchors, shape_iou
from detkit.data.faults.polygons import boxes_among_polygons
from detkit.data.keypoints import FIELD
from detkit.data.loader import Loader
from detkit.data.sample import Batch, Dataset, Faults
from detkit.detections.overlap import pairwise_iou
from detkit.errors import DataError
from detkit.evaluate import COCOEvaluator
from detkit.evaluate.coco_keypoints import keypoint_names
from detkit.runner.intervals import Interval
from detkit.runner.time_budget import TimeBudget
from detkit.wording import first_few

LOOKED_AT = 64  # images; their boxes are taken through the transforms
MANY = 0.1  # the share of objects without a fitting anchor from which a warning is given
MOST_KINDS = 8  # reasons of dropped boxes that are listed
# Of a reason: the place before the first quotation mark, and numbers.
NOT_KIND = re.compile(r'^[^"]*(?=")|[-+]?\d[\d.,]*')


def preflight(training: Training) -> List[str]:
    """Returns about ten lines on the data, the anchors or proposals, and the network of a Training.

    Raises DataError if no training is possible: no image, no object, more bad images than the share
    data.bad_images, no anchor that fits into the images, or keypoints that fit neither the head nor
    the evaluator.
    """
    train, val = training.train_set, training.val_set
    for name, dataset in (("train", train), ("val", val)):
        _check_dataset(place(training.config["data"], name), dataset)
    # Loading the first batch checks the number of bad images, and shows that the evaluation will
    # find its files.
    next(training.val_loader.batches(epoch=0), None)
    if training.val_loss is not None:  # it may take masks or fields, which the dataset may lack
        next(training.val_loss.loader.batches(epoch=0), None)
    lines = [
        f"classes  {len(training.class_names)}: {', '.join(training.class_names)}",
        *_dataset_lines("train", train),
        *_left_out_lines(training.loader),
        *_dataset_lines("val", val),
        *(_anchor_lines(training) if "anchors" in training.model.PARTS else ()),
        *((_proposal_line(training),) if training.loader.proposals is not None else ()),
        *((_keypoint_line(training),) if FIELD in training.train_step.INPUTS else ()),
        _network_line(training),
        *((_frozen_line(training),) if training.freezing else ()),
    ]
    return [*lines, f"schedule {_length(training)}, on {training.devices} in {training.precision}"]


def _length(training: Training) -> str:
    length, per_epoch = training.length, len(training.loader)
    if isinstance(length, TimeBudget):
        most = "" if length.most is None else f", or {_steps(length.most, per_epoch)}"
        return f"{training.options.time} with the final evaluation{most}"
    return _steps(length, per_epoch)


def _steps(length: Interval, per_epoch: int) -> str:
    steps = length.total_steps(per_epoch)
    if length.epochs is None:
        return f"{steps} steps, {steps / per_epoch:.2f} epochs of {per_epoch} steps"
    return f"{length.epochs} epochs of {per_epoch} steps, {steps} in all"


def _check_dataset(where: str, dataset: Dataset) -> None:
    if not len(dataset):
        raise DataError(
            f"{where}: expected at least one image, found none; {'; '.join(_bad_images(dataset))}; "
            "check the dataset's paths and splits"
        )
    annotations = (dataset.annotation(index) for index in range(len(dataset)))
    if all(annotation.difficult.all() for annotation in annotations):
        raise DataError(
            f"{where}: expected at least one object that is not difficult, found none in "
            f"{len(dataset)} images; {'; '.join(_dropped(dataset))}; check the class names"
        )


def _dataset_lines(name: str, dataset: Dataset) -> List[str]:
    annotations = [dataset.annotation(index) for index in range(len(dataset))]
    trained = [annotation.labels[~annotation.difficult] for annotation in annotations]
    counts = np.bincount(np.concatenate(trained), minlength=len(dataset.class_names))
    empty = sum(not len(labels) for labels in trained)
    difficult = sum(int(annotation.difficult.sum()) for annotation in annotations)
    per_class = ", ".join(f"{c} {n}" for c, n in zip(dataset.class_names, counts))
    (dropped, *reasons), (bad, *more) = _dropped(dataset), _bad_images(dataset)
    boxes = sum(1 for _ in boxes_among_polygons({name: dataset}))
    return [
        f"{name:8} {len(dataset)} images, {empty} without an object; {counts.sum()} boxes and "
        f"{difficult} difficult: {per_class}",
        f"         {dropped}; {bad}",
        *(f"           {line}" for line in (*reasons, *more)),
        *[f"         objects without a polygon, whose masks are their boxes: {boxes}"]
        * (boxes > 0),
    ]


def _left_out_lines(loader: Loader) -> List[str]:
    """Returns a line on the images that ``data.filter`` leaves out, if there are any."""
    if not loader.left_out:
        return []
    index, reason = next(iter(loader.left_out.items()))
    image_id = loader.dataset.annotation(index).image_id
    count = f"{len(loader.left_out)} of {len(loader.dataset)} images"
    return [f"filter   {count} left out of training, the first {image_id}: {reason}"]


def _dropped(dataset: Dataset) -> List[str]:
    return _kinds(dataset.dropped, "boxes dropped") or ["no box dropped"]


def _bad_images(dataset: Dataset) -> List[str]:
    return _kinds(dataset.bad_images, "bad images skipped") or ["no bad image"]


def _kinds(faults: Faults, what: str) -> List[str]:
    """Returns the number of faults with the first one, and a line for each kind if there are more.

    Two reasons are of one kind if they differ only in numbers, and in a place before the first
    quotation mark.
    """
    kinds: Dict[str, Faults] = {}
    for image_id, reason in faults:
        kinds.setdefault(NOT_KIND.sub("", reason), []).append((image_id, reason))
    lines = []
    for kind in sorted(kinds.values(), key=len, reverse=True):
        image_id, reason = kind[0]
        lines.append(f"{len(kind)} {what}, the first in {image_id}: {reason}")
    if len(lines) <= 1:
        return lines
    more = [f"and {len(lines) - MOST_KINDS} more reasons"] * (len(lines) > MOST_KINDS)
    return [f"{len(faults)} {what} for {len(lines)} reasons", *lines[:MOST_KINDS], *more]


def _anchor_lines(training: Training) -> List[str]:
    """Returns lines on how well the anchors fit the objects as the network will see them."""
    shapes: Sequence[np.ndarray] = training.model.anchors.shapes
    anchors = np.concatenate(shapes)
    sides = anchors[:, 2:] - anchors[:, :2]
    boxes, largest = _transformed_boxes(training.loader)
    smaller = (sides <= largest).all(axis=1)
    if not smaller.any():
        width, height = sides[sides.prod(axis=1).argmin()]
        raise DataError(
            f"{place(training.config['model'], 'anchors')}: no anchor fits into the images: "
            f"expected at most {largest[0]:.0f} x {largest[1]:.0f} pixels, the size of the images "
            f"after the transforms, found at least {width:.0f} x {height:.0f}; choose smaller "
            "anchors or larger images"
        )
    of_levels = f", of {len(shapes)} levels together" if len(shapes) > 1 else ""
    count = f"anchors  {len(anchors)} at each cell{of_levels}, {smaller.sum()} of them smaller"
    if not len(boxes):
        return [
            f"{count} than the images",
            f"         the first {LOOKED_AT} images have no object to compare them with",
        ]
    low, middle, high = np.percentile(np.sqrt(boxes.prod(axis=1)), (5, 50, 95))
    iou = shape_iou(boxes, sides)
    unmatched = (iou.max(axis=1) < MATCHABLE).mean()
    unused = [f"{w:.0f}x{h:.0f}" for w, h in sides[iou.max(axis=0) < MATCHABLE]]
    return [
        f"{count} than the images; sides of the objects: 5 % below {low:.0f} pixels, median "
        f"{middle:.0f}, 5 % above {high:.0f}",
        f"         {unmatched:.1%} of the objects reach IoU {MATCHABLE} with no anchor; anchors "
        f"that reach it with no object: {', '.join(unused) or 'none'}",
        *(_other_anchors(training, boxes, unmatched) if unmatched > MANY else ()),
    ]


def _other_anchors(training: Training, boxes: np.ndarray, unmatched: float) -> List[str]:
    """Returns a warning, and the arguments of an AnchorGrid that fits the boxes (M, 2) better."""
    node = training.config["model"]["anchors"]
    lines = [
        f"warning: {place(training.config['model'], 'anchors')}: expected anchors for most "
        f"objects, found none for {unmatched:.1%} of them, which are hard to find"
    ]
    if node.get("type") != "AnchorGrid":
        return lines
    better = propose_anchors(boxes, training.model.anchors.strides)
    if better.unmatched >= unmatched:
        return lines
    sizes, ratios = (f"'model.anchors.{key}={getattr(better, key)}'" for key in ("sizes", "ratios"))
    return [*lines, f"         {better.unmatched:.1%} with --set {sizes} {ratios}"]


def _transformed_boxes(loader: Loader) -> Tuple[np.ndarray, np.ndarray]:
    """Returns the (M, 2) widths and heights of boxes, and the largest (w, h) of the images.

    Both are in pixels of the network's input.
    """
    sides, largest = [np.zeros((0, 2))], np.zeros(2)
    for batch in _first_batches(loader):
        boxes = batch.boxes[batch.labels >= 0]
        sides.append(boxes[:, 2:] - boxes[:, :2])
        largest = np.maximum(largest, batch.sizes.max(axis=0)[::-1])
    return np.concatenate(sides), largest


def _first_batches(loader: Loader) -> Iterator[Batch]:
    """Returns the batches of the first LOOKED_AT images of a training."""
    return itertools.islice(loader.batches(epoch=0), -(-LOOKED_AT // loader.batch_size))


def _proposal_line(training: Training) -> str:
    """Returns a line on the number of proposals, and on how well they fit the objects."""
    counts = np.array([len(boxes) for boxes in (training.loader.proposals or {}).values()])
    overlaps = [np.zeros(0)]
    names = ("boxes", "labels", "proposals", "proposal_scores")
    for batch in _first_batches(training.loader):
        for boxes, labels, proposals, scores in zip(*map(batch.array, names)):
            iou = pairwise_iou(proposals[scores >= 0], boxes[labels >= 0])
            overlaps.append(iou.max(axis=0, initial=0))
    best = np.concatenate(overlaps)
    share = f"{(best >= MATCHABLE).mean():.1%}" if len(best) else "none"
    return (
        f"proposed {counts.mean():.0f} boxes an image, {(counts == 0).sum()} images without any; "
        f"{share} of the {len(best)} objects in the first {LOOKED_AT} images have one of IoU "
        f"{MATCHABLE}"
    )


def _keypoint_line(training: Training) -> str:
    """Returns a line on the keypoints of the objects. Raises DataError if their number is wrong."""
    head, names = training.model.keypoint_head, keypoint_names(training.train_set)
    flags = [np.zeros((0, head.num_keypoints))]
    for batch in _first_batches(training.loader):
        flags.append(batch.array(FIELD)[batch.labels >= 0][..., 2])
    count = flags[-1].shape[1]
    if head.num_keypoints != count:
        raise DataError(
            f"{place(training.config['model'], 'keypoint_head')}: num_keypoints: expected {count}, "
            f"the keypoints of an object of data.train, found {head.num_keypoints}"
        )
    if isinstance(training.evaluator, COCOEvaluator) and keypoint_names(training.val_set):
        training.evaluator.check_keypoints(training.val_set)
    labelled = np.concatenate(flags) > 0
    share = f"{labelled.mean():.1%}" if labelled.size else "none"
    return (
        f"keypoint {count} of an object: {first_few(names)}; {share} of those of the "
        f"{len(labelled)} objects in the first {LOOKED_AT} images are labelled"
    )


def _network_line(training: Training) -> str:
    parameters = training.model.collect_params().values()
    weights = {p: int(np.prod(p.shape)) for p in parameters}
    trained = sum(count for p, count in weights.items() if p.grad_req != "null")
    return (
        f"network  {sum(weights.values()) / 1e6:.1f} million weights, "
        f"{trained / 1e6:.1f} million of them trained"
    )


def _frozen_line(training: Training) -> str:
    count = sum(int(np.prod(weight.shape)) for weight in training.freezing.weights)
    return f"frozen   {training.freezing}; {count / 1e6:.1f} million weights at first"
