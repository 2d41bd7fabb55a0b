"""Pads samples to one Batch, in few different shapes.

For each new shape of an input, MXNet prepares every layer, which takes time and memory (see
detkit/memory.py), so a training run must use few shapes. Images of similar aspect share a
batch, which saves padding. Sides are rounded up to a multiple, the number of ground truths to a
power of two, and the number of proposals to a multiple of 100.
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
    """Pads B samples to one shape.

    samples: at least one.
    originals: (height, width) of each decoded image in pixels, which gives the scales.
    pad_multiple: the number that H and W of the batch are multiples of.
    indices, number: the indices and the number of the Batch.
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


def _pad_objects(
    samples: Sequence[Sample], size: Tuple[int, int]
) -> Tuple[np.ndarray, np.ndarray, Optional[np.ndarray]]:
    """Returns Batch.boxes, Batch.labels and Batch.masks for images of size (height, width)."""
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
    """Returns Batch.proposals and Batch.proposal_scores."""
    given = [sample.proposals for sample in samples if sample.proposals is not None]
    if len(given) < len(samples):
        return None, None
    slots = round_up(max(1, *map(len, given)), PROPOSALS_MULTIPLE)
    proposals = np.zeros((len(samples), slots, 4), np.float32)
    scores = np.full((len(samples), slots), -1, np.float32)
    for row, boxes in enumerate(given):
        proposals[row, : len(boxes)] = boxes
        scores[row, : len(boxes)] = 1
    return proposals, scores


def round_up(side: int, multiple: int) -> int:
    """Returns the smallest multiple of `multiple` that is at least `side`."""
    return -(-side // multiple) * multiple


def object_slots(count: int) -> int:
    """Returns G of a batch whose images have at most `count` objects: 8, 16, 32, 64, ..."""
    slots = LEAST_OBJECTS
    while slots < count:
        slots *= 2
    return slots


def group_by_aspect(
    sizes: Sequence[Tuple[int, int]], batch_size: int, order: Iterable[int]
) -> List[List[int]]:
    """Divides an order of images into batches of landscapes and batches of portraits.

    sizes: (height, width) of every image of the dataset; a square counts as landscape.
    order: indices, shuffled or not. A batch keeps their order, and batches follow in the order in
        which they become full.

    Returns lists of `batch_size` indices, then the incomplete batch of each group. The number of
    batches depends on the sizes alone, not on the order.
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
