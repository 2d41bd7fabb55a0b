"""Simple copy-paste: objects of another image, cut out along their masks."""

import numpy as np

from detkit.data.arguments import probability
from detkit.data.augment.geometry import (
    VISIBLE,
    boxes_of,
    joined,
    move_fields,
    placing,
    settled,
    visible_shares,
    warped,
)
from detkit.data.sample import Draw, Sample
from detkit.detections.overlap import pairwise_iou
from detkit.errors import DataError
from detkit.registry import TRANSFORMS

LEAST_IOU = 0.5  # of a proposal with the object that it comes along with


@TRANSFORMS.register()
class CopyPaste:
    """Pastes objects of another image over the image; for training only, on a dataset with masks.

    share: the probability that an object of the other image is pasted, in [0, 1].
    visible: the share of an object, in [0, 1], below which it becomes difficult.
    p: the probability that an image gets objects.

    The paper (Ghiasi et al. 2021, section 3) takes a random subset of the objects, does not smooth
    their borders, and jitters the scale of both images and mirrors them before: put ScaleJitter
    and HorizontalFlip before this transform. If the images differ in size, the objects are shifted
    by a random part of the difference. Difficult objects and crowds are not pasted. The masks of
    covered objects lose the covered pixels, and their boxes follow. A detector that is not trained
    on masks gets none.
    """

    training_only = mixes = needs_masks = True

    def __init__(self, share: float = 0.5, visible: float = VISIBLE, p: float = 1.0) -> None:
        self.share = probability(share, "share")
        self.visible = probability(visible, "visible")
        self.p = probability(p)

    def __call__(self, sample: Sample, rng: np.random.Generator, draw: Draw) -> Sample:
        if rng.random() >= self.p:
            return sample
        masks = _masks(sample)
        height, width = sample.image.shape[:2]
        other = draw()
        x, y = (
            int(rng.integers(min(0, room), max(0, room) + 1))
            for room in (width - other.image.shape[1], height - other.image.shape[0])
        )
        other = warped(other, placing((1, 1), (x, y)), (width, height), visible=self.visible)
        pasted = _chosen(other, rng.random(len(other.boxes)) < self.share)
        if not len(pasted.boxes):
            return sample
        covered = _masks(pasted).any(axis=0)
        image = np.where(covered[:, :, None], pasted.image, sample.image)
        below = _below(sample, masks, covered, self.visible)
        return joined(below, pasted)._replace(image=image.astype(sample.image.dtype))


def _masks(sample: Sample) -> np.ndarray:
    if sample.masks is None:
        raise DataError(
            f"image {sample.image_id!r}: expected masks, along which CopyPaste cuts, found none; "
            "use a dataset with masks, or leave CopyPaste out"
        )
    return sample.masks


def _chosen(other: Sample, drawn: np.ndarray) -> Sample:
    """Returns the drawn objects that can be cut out, and the proposals that belong to them."""
    taken = other.take(drawn & ~other.difficult & _masks(other).any(axis=(1, 2)))
    if taken.proposals is None:
        return taken
    overlaps = pairwise_iou(taken.proposals, taken.boxes)
    return taken._replace(proposals=taken.proposals[(overlaps >= LEAST_IOU).any(axis=1)])


def _below(sample: Sample, masks: np.ndarray, covered: np.ndarray, visible: float) -> Sample:
    """Returns the Sample with its masks (G, H, W) after pixels (H, W) bool were covered."""
    shares = visible_shares(sample, covered)
    left = masks * ~covered
    moved = move_fields(sample, "cover", covered)
    moved = moved._replace(masks=left, boxes=boxes_of(left, sample.boxes))
    return settled(moved, shares, shares >= visible)
