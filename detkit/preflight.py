"""What is checked, and said in ten lines, before the first step of a training."""

import itertools

import numpy as np

from detkit.config import place
from detkit.detections.overlap import pairwise_iou
from detkit.errors import DataError

LOOKED_AT = 64  # images whose boxes are taken through the transforms
MATCHABLE = 0.5  # IoU; of anchors that of the shapes alone, the best one can reach anywhere


def preflight(training):
    """Ten lines about data, anchors or proposals, and network of a Training.

    Raises DataError for what no training can come of: no image, no box, more than 1 % bad images,
    no anchor that fits into the images.
    """
    train, val = training.train_set, training.val_set
    for name, dataset in (("train", train), ("val", val)):
        _check_dataset(place(training.config["data"], name), dataset)
    # The first batch brings the check of all known bad images with it, and shows that the
    # evaluation will find its files.
    next(training.val_loader.batches(epoch=0), None)
    lines = [
        f"classes  {len(training.class_names)}: {', '.join(training.class_names)}",
        *_dataset_lines("train", train),
        *_dataset_lines("val", val),
        *(_anchor_lines(training) if "anchors" in training.model.PARTS else ()),
        *((_proposal_line(training),) if "proposals" in training.model.INPUTS else ()),
        _network_line(training),
    ]
    return [*lines, f"schedule {_length(training)}, on {training.ctx}"]


def _length(training):
    length, per_epoch = training.options.length, len(training.loader)
    if length.epochs is None:
        epochs = length.steps / per_epoch
        return f"{length.steps} steps, {epochs:.2f} epochs of {per_epoch} steps"
    steps = length.total_steps(per_epoch)
    return f"{length.epochs} epochs of {per_epoch} steps, {steps} in all"


def _check_dataset(where, dataset):
    if not len(dataset):
        raise DataError(
            f"{where}: found no images, expected at least one; {_bad_images(dataset)}; look at "
            "the dataset's paths and splits"
        )
    annotations = (dataset.annotation(index) for index in range(len(dataset)))
    if all(annotation.difficult.all() for annotation in annotations):
        raise DataError(
            f"{where}: found no object in {len(dataset)} images, expected at least one that is not "
            f"difficult; {_dropped(dataset)}; look at the class names"
        )


def _dataset_lines(name, dataset):
    annotations = [dataset.annotation(index) for index in range(len(dataset))]
    trained = [annotation.labels[~annotation.difficult] for annotation in annotations]
    counts = np.bincount(np.concatenate(trained), minlength=len(dataset.class_names))
    empty = sum(not len(labels) for labels in trained)
    difficult = sum(int(annotation.difficult.sum()) for annotation in annotations)
    per_class = ", ".join(f"{c} {n}" for c, n in zip(dataset.class_names, counts))
    return [
        f"{name:8} {len(dataset)} images, {empty} without an object; {counts.sum()} boxes and "
        f"{difficult} difficult: {per_class}",
        f"         {_dropped(dataset)}; {_bad_images(dataset)}",
    ]


def _dropped(dataset):
    if not dataset.dropped:
        return "no box dropped"
    image_id, reason = dataset.dropped[0]
    return f"{len(dataset.dropped)} boxes dropped, the first in {image_id}: {reason}"


def _bad_images(dataset):
    if not dataset.bad_images:
        return "no bad image"
    image_id, reason = dataset.bad_images[0]
    return f"{len(dataset.bad_images)} bad images skipped, the first {image_id}: {reason}"


def _anchor_lines(training):
    """How well the anchors fit the objects as the network will see them."""
    anchors = np.concatenate(training.model.anchors.shapes)
    sides = anchors[:, 2:] - anchors[:, :2]
    boxes, largest = _transformed_boxes(training.loader)
    if not (sides <= largest).all(axis=1).any():
        smallest = sides[sides.prod(axis=1).argmin()]
        raise DataError(
            f"{place(training.config['model'], 'anchors')}: no anchor fits into the images, which "
            f"are at most {largest[0]:.0f} x {largest[1]:.0f} pixels after the transforms; the "
            f"smallest is {smallest[0]:.0f} x {smallest[1]:.0f}: choose smaller anchors or larger "
            "images"
        )
    fits = int((sides <= largest).all(axis=1).sum())
    levels = len(training.model.anchors.shapes)
    of_levels = f", of {levels} levels together" if levels > 1 else ""
    lines = [
        f"anchors  {len(anchors)} at each cell{of_levels}, {fits} of them smaller than the images"
    ]
    if not len(boxes):
        return [*lines, f"         no object in the first {LOOKED_AT} images to compare them with"]
    small, middle, large = np.percentile(np.sqrt(boxes.prod(axis=1)), (5, 50, 95))
    lines[0] += f"; objects' sides: 90 % of {small:.0f} to {large:.0f} pixels, median {middle:.0f}"
    iou = _shape_iou(boxes, sides)
    lonely = (iou.max(axis=1) < MATCHABLE).mean()
    idle = [f"{w:.0f}x{h:.0f}" for w, h in sides[iou.max(axis=0) < MATCHABLE]]
    return [
        *lines,
        f"         {lonely:.1%} of the objects have no anchor of IoU {MATCHABLE}; anchors no "
        f"object reaches: {', '.join(idle) or 'none'}",
    ]


def _transformed_boxes(loader):
    """(M, 2) widths and heights of boxes in the network's input, and its largest (w, h)."""
    sides, largest = [np.zeros((0, 2))], np.zeros(2)
    for batch in _first_batches(loader):
        boxes = batch.boxes[batch.labels >= 0]
        sides.append(boxes[:, 2:] - boxes[:, :2])
        largest = np.maximum(largest, batch.sizes.max(axis=0)[::-1])
    return np.concatenate(sides), largest


def _first_batches(loader):
    """The batches of the first images of a training."""
    return itertools.islice(loader.batches(epoch=0), -(-LOOKED_AT // loader.batch_size))


def _shape_iou(boxes, anchors):
    """IoU (M, A) of widths and heights (M, 2) and (A, 2) around one centre."""
    overlap = np.minimum(boxes[:, None], anchors[None]).prod(axis=2)
    return overlap / (boxes.prod(axis=1)[:, None] + anchors.prod(axis=1)[None] - overlap)


def _proposal_line(training):
    """How many proposals there are, and how well they fit the objects."""
    counts = np.array([len(boxes) for boxes in training.loader.proposals.values()])
    best = [np.zeros(0)]
    for batch in _first_batches(training.loader):
        rows = zip(batch.boxes, batch.labels, batch.proposals, batch.proposal_scores)
        for boxes, labels, proposals, scores in rows:
            iou = pairwise_iou(proposals[scores >= 0], boxes[labels >= 0])
            best.append(iou.max(axis=0, initial=0))
    best = np.concatenate(best)
    found = f"{(best >= MATCHABLE).mean():.1%}" if len(best) else "none"
    return (
        f"proposed {counts.mean():.0f} boxes an image, {(counts == 0).sum()} images without any; "
        f"{found} of the {len(best)} objects in the first {LOOKED_AT} images have one of IoU "
        f"{MATCHABLE}"
    )


def _network_line(training):
    parameters = training.model.collect_params().values()
    weights = {p: int(np.prod(p.shape)) for p in parameters}
    trained = sum(count for p, count in weights.items() if p.grad_req != "null")
    return (
        f"network  {sum(weights.values()) / 1e6:.1f} million weights, "
        f"{trained / 1e6:.1f} million of them trained"
    )
