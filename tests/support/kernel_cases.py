"""hypothesis strategies of inputs for the operators of kernels.h: ordinary, tied and awkward ones.

Coordinates lie on a coarse grid, so that float32 and float64 agree on what touches what, and ties
are common. A seed decides most of an example: numpy draws it faster than hypothesis does.
"""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from support.kernel_roi_oracles import Geometry

HUGE = (3e38, -3e38, 1e5, -1e5)
NO_NUMBERS = (np.nan, np.inf, -np.inf)
SCORES = (0.0, 0.25, 0.5, 0.75, 1.0, -1.0, -0.25, *NO_NUMBERS)
LABELS = (0.0, 1.0, 2.0, -1.0, 0.3, 0.7, 5e9, np.nan, np.inf)
LOGITS = (-200.0, -30.0, -1.0, 0.0, 1.0, 2.0, 20.0, 30.0, -3.4028235e38, *NO_NUMBERS)


def generators():
    return st.integers(0, 2**31).map(np.random.default_rng)


def spoil(rng, array, values, share):
    """A copy of array with a share of its elements replaced by awkward ones."""
    return np.where(rng.random(array.shape) < share, rng.choice(values, array.shape), array).astype(
        "float32"
    )


def grid_boxes(rng, *shape, share=0.02):
    """(..., 4) on whole pixels, some empty, inverted, huge or with what is no number."""
    corner = rng.integers(0, 7, (*shape, 2))
    boxes = np.concatenate([corner, corner + rng.integers(-1, 7, (*shape, 2))], axis=-1)
    return spoil(rng, boxes, (*HUGE, *NO_NUMBERS), share)


@st.composite
def crowds(draw, most=24):
    """boxes (B, N, 4), scores (B, N), labels (B, N)."""
    rng = draw(generators())
    shape = draw(st.integers(1, 2)), draw(st.integers(1, most))
    scores, labels = (rng.choice(v, shape).astype("float32") for v in (SCORES, LABELS))
    return grid_boxes(rng, *shape), scores, labels


@st.composite
def pyramids(draw):
    """A list of (anchors (N, 4), objectness (B, N), deltas (B, N, 4)), and sizes (B, 2)."""
    rng, images, levels = draw(generators()), draw(st.integers(1, 2)), []
    for _ in range(draw(st.integers(1, 3))):
        count = draw(st.integers(1, 30))
        centre, half = rng.integers(0, 20, (count, 2)), rng.integers(1, 6, (count, 2))
        anchors = np.concatenate([centre - half, centre + half], axis=1).astype("float32")
        objectness = rng.choice(LOGITS, (images, count)).astype("float32")
        deltas = rng.integers(-4, 5, (images, count, 4)) / 8
        levels.append((anchors, objectness, spoil(rng, deltas, (3e38, *NO_NUMBERS), 0.02)))
    return levels, rng.integers(3, 30, (images, 2)).astype("float32")


@st.composite
def matchings(draw):
    """boxes (B or 1, N, 4), candidates (B, N) or None, objects (B, G, 4), labels (B, G)."""
    rng, images = draw(generators()), draw(st.integers(1, 2))
    count, objects = draw(st.integers(1, 20)), draw(st.integers(1, 5))
    boxes = grid_boxes(rng, images, count)[: None if draw(st.booleans()) else 1]
    candidates = rng.choice([0, 1, 1], (images, count)).astype("float32")
    labels = rng.choice([0, 1, 5, -1, -2, np.nan], (images, objects)).astype("float32")
    theirs = grid_boxes(rng, images, objects, share=0.05)
    return boxes, draw(st.sampled_from([candidates, None])), theirs, labels


class Pooling(NamedTuple):
    features: np.ndarray  # (B, C, H, W)
    rois: np.ndarray  # (B, R, 4)
    stride: int
    geometry: Geometry
    grad_out: np.ndarray  # (B * R, C, P, P)

    @property
    def rows(self):
        return numbered(self.rois)


def numbered(rois):
    """(B * R, 5) with the image's number first, of (B, R, 4)."""
    image = np.repeat(np.arange(len(rois)), rois.shape[1])[:, None]
    return np.concatenate([image, rois.reshape(-1, 4)], axis=1).astype("float32")


@st.composite
def poolings(draw, awkward=(*HUGE, *NO_NUMBERS), ties=False, sizes=(1, 2, 3), off_grid=0.0):
    """One map and RoIs with corners on eighths of a cell; the first RoI of each image is awkward.

    ties: features of few different values, which a maximum chooses among. RoIAlign jumps where a
    sample leaves the map or the side of a cell is a whole number: it needs either exact samples
    (sizes that are powers of 2) or corners and sides moved by a part ``off_grid`` of a cell.
    """
    rng = draw(generators())
    shape = (2, 2, draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    features = rng.integers(-2, 3, shape) if ties else rng.normal(0, 1, shape)
    stride, size = draw(st.sampled_from([1, 4, 16])), draw(st.sampled_from(sizes))
    corner = rng.integers(-16, 64, (2, 3, 2)) + 8 * off_grid
    far = corner + rng.integers(1, 48, (2, 3, 2)) + 8 * off_grid
    rois = np.concatenate([corner, far], axis=2) * stride / 8
    first = rng.choice([0, 5, -3, 20], (2, 4)) + off_grid * np.array([1, 1, 2, 2])
    rois[:, 0] = spoil(rng, first, awkward, 0.3)
    return Pooling(
        features.astype("float32"),
        rois.astype("float32"),
        stride,
        Geometry(size, [1 / stride]),
        rng.normal(0, 1, (6, 2, size, size)).astype("float32"),
    )


@st.composite
def masks_under_rois(draw):
    """masks (B, G, H, W) uint8, rois (B, R, 4), index (B, R) int32 with some out of range."""
    rng, objects = draw(generators()), draw(st.integers(1, 3))
    shape = (2, objects, draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    masks = rng.choice(np.array([0, 1, 200], "uint8"), shape)
    corner = rng.uniform(-3, 14, (2, 3, 2))
    rois = np.concatenate([corner, corner + rng.uniform(-2, 9, (2, 3, 2))], axis=2)
    index = rng.integers(-2, objects + 2, (2, 3)).astype("int32")
    return masks, spoil(rng, rois, NO_NUMBERS, 0.05), index
