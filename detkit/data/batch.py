"""Samples -> one padded Batch, in few shapes.

MXNet binds a hybridized network anew for each input shape and keeps the memory of every binding,
so a training run must meet few shapes. Images of like aspect are put together (less padding),
sides are rounded up to a multiple, the number of ground truths to a power of two, and that of
proposals to hundreds.
"""

from typing import Iterable, List, Optional, Sequence, Tuple

import numpy as np

from detkit.constants import CROWD, PADDING
from detkit.data.sample import Batch, Sample

LEAST_OBJECTS = 8
PROPOSALS_MULTIPLE = 100


def make_batch(
    samples: Sequence[Sample],
    originals: Sequence[Tuple[int, int]],
    pad_multiple: int = 32,
    indices: Sequence[int] = (),
    number: int = 0,
) -> Batch:
    """Pad B samples to one shape.

    samples: B of them, at least one.
    originals: (height, width) of each image as decoded, from which the scales are found.
    pad_multiple: H and W of the batch are multiples of it.
    indices, number: what the Batch is to say of its place in dataset and epoch.
    """
    sizes = np.array([sample.image.shape[:2] for sample in samples], np.float32)
    height, width = (round_up(int(side), pad_multiple) for side in sizes.max(axis=0))
    images = np.zeros((len(samples), 3, height, width), np.float32)
    for row, sample in enumerate(samples):
        h, w = sample.image.shape[:2]
        images[row, :, :h, :w] = sample.image.transpose(2, 0, 1)
    boxes, labels, masks = _pad_objects(samples, (height, width))
    proposals, proposal_scores = _pad_proposals(samples)
    return Batch(
        images=images,
        sizes=sizes,
        boxes=boxes,
        labels=labels,
        image_ids=tuple(sample.image_id for sample in samples),
        scales=(sizes / np.array(originals, np.float32))[:, ::-1].copy(),
        indices=tuple(int(index) for index in indices),
        number=number,
        masks=masks,
        proposals=proposals,
        proposal_scores=proposal_scores,
        fields={
            name: np.stack([sample.fields[name].array(boxes.shape[1]) for sample in samples])
            for name in samples[0].fields
        },
    )


def _pad_objects(samples: Sequence[Sample], size: Tuple[int, int]):
    """Batch.boxes, Batch.labels and Batch.masks, of a batch of images of size (height, width)."""
    slots = object_slots(max(len(sample.boxes) for sample in samples))
    boxes = np.zeros((len(samples), slots, 4), np.float32)
    labels = np.full((len(samples), slots), PADDING, np.float32)
    masks = None
    if all(sample.masks is not None for sample in samples):
        masks = np.zeros((len(samples), slots, *size), np.uint8)
    for row, sample in enumerate(samples):
        count = len(sample.boxes)
        boxes[row, :count] = sample.boxes
        labels[row, :count] = np.where(sample.difficult, CROWD, sample.labels)
        if masks is not None:
            h, w = sample.image.shape[:2]
            masks[row, :count, :h, :w] = sample.masks
    return boxes, labels, masks


def _pad_proposals(samples: Sequence[Sample]) -> Tuple[Optional[np.ndarray], Optional[np.ndarray]]:
    """Batch.proposals and Batch.proposal_scores."""
    if any(sample.proposals is None for sample in samples):
        return None, None
    most = max(len(sample.proposals) for sample in samples)
    slots = round_up(max(most, 1), PROPOSALS_MULTIPLE)
    proposals = np.zeros((len(samples), slots, 4), np.float32)
    scores = np.full((len(samples), slots), -1, np.float32)
    for row, sample in enumerate(samples):
        proposals[row, : len(sample.proposals)] = sample.proposals
        scores[row, : len(sample.proposals)] = 1
    return proposals, scores


def round_up(side: int, multiple: int) -> int:
    """The least multiple that is not below `side`."""
    return -(-side // multiple) * multiple


def object_slots(count: int) -> int:
    """G for a batch in which no image has more than `count` objects: 8, 16, 32, 64, ..."""
    slots = LEAST_OBJECTS
    while slots < count:
        slots *= 2
    return slots


def group_by_aspect(
    sizes: Sequence[Tuple[int, int]], batch_size: int, order: Iterable[int]
) -> List[List[int]]:
    """Divide an order of images into batches of landscapes and batches of portraits.

    sizes: (height, width) of every image of the dataset; a square counts as landscape.
    order: indices, shuffled or not; a batch keeps their order, and stands where it became full.

    Returns lists of `batch_size` indices, then what is left of each group. Their number depends
    on the sizes alone, not on the order.
    """
    batches: List[List[int]] = []
    waiting: Tuple[List[int], List[int]] = ([], [])
    for index in order:
        height, width = sizes[index]
        group = waiting[height > width]
        group.append(int(index))
        if len(group) == batch_size:
            batches.append(group.copy())
            group.clear()
    return batches + [group for group in waiting if group]
