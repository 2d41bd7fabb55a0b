"""A dataset of large images that is cut into tiles, for training on small objects."""

import functools
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from detkit.data.arguments import probability
from detkit.data.augment.geometry import LEAST_SIDE, boxes_of, placing
from detkit.data.sample import (
    Annotation,
    Dataset,
    Faults,
    Field,
    ImageId,
    MovingField,
    field_of,
)
from detkit.data.tiles import Tile, check_tiles, cover
from detkit.errors import DataError, ImageError
from detkit.registry import DATASETS

RECENT = 2  # images that are kept for their next tiles


class Piece(NamedTuple):
    """One tile of the dataset.

    source: the index of its image. tile: its place. rows: (G,) bool, the image's objects in it.
    annotation: these objects, in pixels of the tile.
    """

    source: int
    tile: Tile
    rows: np.ndarray
    annotation: Annotation


@DATASETS.register()
class Tiles:
    """The images of a dataset, each cut into tiles as detkit.Tiling cuts it.

    dataset: the section of the dataset.
    size: the side of a tile in pixels of the image.
    overlap: the least share of its side that a tile has in common with its neighbour, 0 to 0.9.
    min_visible: the share of an object's area in a tile, in [0, 1], below which it is difficult
        there: nobody can name the remnant, and yet it is in the tile, so that it is trained on
        neither as an object nor as background. An object of which nothing is in a tile is dropped.
    empty: the share of the tiles without objects that are kept, in [0, 1].
    seed: draws the tiles without objects that are kept.

    The id of a tile is that of its image with the tile's corner, "street.jpg:640,0". An object with
    a mask has the box of what is left of the mask, and its area is that of the mask. Annotations
    are cut without reading an image. Masks are decoded for images of which a tile cuts an object.
    The last two images that were read are kept, so that a loader that asks for the tiles of an
    image one after another reads it once; one that shuffles reads it for each tile.

    whole: the dataset whose images are cut.

    Raises ValueError for a number out of range, or if no tile is left.
    """

    WRAPS = "dataset"

    def __init__(
        self,
        dataset: Dataset,
        size: int,
        overlap: float = 0.2,
        min_visible: float = 0.3,
        empty: float = 1.0,
        seed: int = 0,
    ) -> None:
        check_tiles(size, overlap)
        probability(empty, "empty")
        if seed < 0:
            raise ValueError(f"seed: expected at least 0, found {seed!r}")
        self.whole, self._size, self._overlap = dataset, size, overlap
        self._min_visible = probability(min_visible, "min_visible")
        self.class_names = tuple(dataset.class_names)
        self.dropped: Faults = list(dataset.dropped)
        self.bad_images: Faults = list(dataset.bad_images)
        self.keypoint_names = tuple(getattr(dataset, "keypoint_names", ()))
        if hasattr(dataset, "category_ids"):
            self.category_ids = dataset.category_ids
        self._image = functools.lru_cache(maxsize=RECENT)(dataset.image)
        self._masks = functools.lru_cache(maxsize=1)(dataset.masks)
        pieces = [piece for index in range(len(dataset)) for piece in self._cut(index)]
        self._pieces = _without_empty(pieces, empty, np.random.default_rng(seed))
        if not self._pieces:
            raise ValueError("empty: expected a share that leaves a tile, found none of them left")

    def __len__(self) -> int:
        return len(self._pieces)

    def annotation(self, index: int) -> Annotation:
        """Returns the objects of a tile, in its pixels."""
        return self._pieces[index].annotation

    def image(self, index: int) -> np.ndarray:
        """Returns a tile (h, w, 3) uint8 RGB. Raises ImageError if its image cannot be decoded."""
        piece = self._pieces[index]
        part = piece.tile.of(self._image(piece.source))
        one = piece.annotation
        if part.shape[:2] != (one.height, one.width):
            whole = self.whole.annotation(piece.source)
            raise ImageError(
                f"{whole.image_id}: expected the {whole.width} x {whole.height} pixels of the "
                "annotation, found a smaller image"
            )
        return part.copy()  # a view would keep the whole image

    def masks(self, index: int) -> Optional[np.ndarray]:
        """Returns masks (G, h, w) uint8 of 0 and 1; None for a dataset without."""
        piece = self._pieces[index]
        masks = self._masks(piece.source)
        if masks is None:
            return None
        x1, y1, x2, y2 = piece.tile
        return masks[piece.rows, y1:y2, x1:x2]

    def field(self, name: str, index: int) -> Field:
        """Returns a field of the objects of a tile. Raises DataError if it cannot be cut."""
        piece = self._pieces[index]
        field = field_of(self.whole, name, piece.source).take(piece.rows)
        if not isinstance(field, MovingField):
            raise DataError(
                f"field {name!r}: expected the methods of detkit.data.sample.MovingField, by which "
                f"Tiles cuts it, found {type(field).__name__} without them"
            )
        x1, y1, x2, y2 = piece.tile
        return field.warp(placing((1, 1), (-x1, -y1)), (x2 - x1, y2 - y1))

    def cut_proposals(self, proposals: Mapping[Any, np.ndarray]) -> Dict[ImageId, np.ndarray]:
        """Returns {id of a tile: boxes (R, 4)} of proposals {id of an image: boxes (R, 4)}."""
        cut: Dict[ImageId, np.ndarray] = {}
        for piece in self._pieces:
            image_id = self.whole.annotation(piece.source).image_id
            boxes = _clipped(proposals[image_id], piece.tile)
            cut[piece.annotation.image_id] = boxes[_sides(boxes) >= LEAST_SIDE]
        return cut

    def _cut(self, index: int) -> List[Piece]:
        """Returns the tiles of an image."""
        one = self.whole.annotation(index)
        tiles = cover(one.height, one.width, self._size, self._overlap)
        clipped = [_clipped(one.boxes, tile) for tile in tiles]
        is_cut = any(
            ((_sides(boxes) > 0) & (boxes != one.boxes - tile.origin).any(axis=1)).any()
            for boxes, tile in zip(clipped, tiles)
        )
        masks = self._masks(index) if is_cut else None
        return [self._piece(index, one, *pair, masks=masks) for pair in zip(tiles, clipped)]

    def _piece(
        self,
        index: int,
        one: Annotation,
        tile: Tile,
        boxes: np.ndarray,
        masks: Optional[np.ndarray],
    ) -> Piece:
        """Returns a tile with its objects; boxes: (G, 4) of all objects, clipped to the tile."""
        areas = _areas(one.boxes)
        shares = _areas(boxes) / np.maximum(areas, np.finfo(np.float64).tiny)
        if masks is not None:
            boxes, shares = _by_masks(masks, tile, boxes, shares)
        rows = (shares > 0) & (_sides(boxes) > 0)
        clear = (shares >= self._min_visible) & (_sides(boxes) >= LEAST_SIDE)
        annotation = Annotation(
            image_id=f"{one.image_id}:{tile.x1},{tile.y1}",
            width=tile.x2 - tile.x1,
            height=tile.y2 - tile.y1,
            boxes=boxes[rows],
            labels=one.labels[rows],
            difficult=(one.difficult | ~clear)[rows],
            areas=None if one.areas is None else (one.areas * shares).astype(np.float32)[rows],
        )
        return Piece(index, tile, rows, annotation)


def _without_empty(pieces: List[Piece], share: float, rng: np.random.Generator) -> List[Piece]:
    """Returns the tiles with objects, and a share of the others, in their order."""
    empty = np.array([bool(piece.annotation.difficult.all()) for piece in pieces], bool)
    order = rng.permutation(np.flatnonzero(empty))
    left_out = set(order[round(share * len(order)) :].tolist())
    return [piece for number, piece in enumerate(pieces) if number not in left_out]


def _by_masks(
    masks: np.ndarray, tile: Tile, boxes: np.ndarray, shares: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """Returns the boxes (G, 4) and visible shares (G,) of objects that a tile cuts, by masks."""
    cut = (shares > 0) & (shares < 1)
    shares, boxes = shares.copy(), boxes.copy()
    x1, y1, x2, y2 = tile
    parts = masks[cut, y1:y2, x1:x2]
    whole = np.array([np.count_nonzero(mask) for mask in masks[cut]])
    left = np.array([np.count_nonzero(part) for part in parts])
    boxes[cut] = boxes_of(parts, boxes[cut])
    shares[cut] = np.where(whole > 0, left / np.maximum(whole, 1), shares[cut])
    return boxes, shares


def _clipped(boxes: np.ndarray, tile: Tile) -> np.ndarray:
    """Returns boxes (N, 4) float32 of an image in pixels of a tile, cut at its border."""
    limit = np.array([tile.x2 - tile.x1, tile.y2 - tile.y1] * 2, np.float32)
    return np.clip(boxes - tile.origin, 0, limit).astype(np.float32)


def _sides(boxes: np.ndarray) -> np.ndarray:
    """Returns the shorter side (N,) of boxes (N, 4)."""
    sides: np.ndarray = (boxes[:, 2:] - boxes[:, :2]).min(axis=1)
    return sides


def _areas(boxes: np.ndarray) -> np.ndarray:
    areas: np.ndarray = (boxes[:, 2:].astype(np.float64) - boxes[:, :2]).prod(axis=1)
    return areas
