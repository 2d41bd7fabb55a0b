"""Detection in tiles: small objects in large images.

A network that sees a photograph of 8000 pixels at 800 sees an object of 30 pixels as one of 3. In
tiles, it sees each part of the photograph as large as it is.
"""

from typing import Any, Iterator, List, NamedTuple, Optional, Protocol, Sequence, Tuple

import numpy as np

from detkit.data.given_images import read_images
from detkit.data.proposed import add_proposals
from detkit.data.sample import ImageId, Sample, unlabelled
from detkit.data.tiles import Tile, check_tiles, cover
from detkit.detections import Detections
from detkit.detections.merge import NMS, RULES, Seen, merged
from detkit.threshold import Threshold

OVERLAP = 0.2  # the share of a tile that is common by default


class Tiling:
    """The tiles in which a detector looks at an image, and how their detections are merged.

    size: the side of a tile in pixels of the image. The detector resizes a tile like any image, so
        objects are seen largest where tiles are as small as the detector's own size, or smaller.
    overlap: the least share of its side that a tile has in common with its neighbour, from 0 to
        0.9. An object that is smaller than what they share is whole in one of them.
    whole: whether the detector looks at the whole image, too, for objects larger than a tile.
    merge: "nms" or "soft_nms", for the detections of one class in different views. See
        detkit.detections.merge for the rules, and for objects at a seam.
    iou: the largest overlap, in (0, 1], of two detections of different views.
    batch: the largest number of tiles that go through the network at once.

    Each view gives at most the detector's own ``max_detections``; their union has no limit.
    Sliced inference (Akyon et al. 2022) is close to it.
    """

    def __init__(
        self,
        size: int,
        overlap: float = OVERLAP,
        whole: bool = True,
        merge: str = NMS,
        iou: float = 0.5,
        batch: int = 4,
    ) -> None:
        check_tiles(size, overlap)
        if merge not in RULES:
            raise ValueError(f"merge: expected {' or '.join(map(repr, RULES))}, found {merge!r}")
        if not 0 < iou <= 1:
            raise ValueError(f"iou: expected a number in (0, 1], found {iou!r}")
        if batch < 1:
            raise ValueError(f"batch: expected at least 1, found {batch!r}")
        self.size, self.overlap, self.whole = int(size), float(overlap), bool(whole)
        self.merge, self.iou, self.batch = merge, float(iou), int(batch)

    def groups(self, height: int, width: int) -> Iterator[List[Tile]]:
        """Yields the views of an image in pixels, in groups that go through the network at once.

        All groups of tiles have one size, because a network is prepared for each new shape: the
        last tile may be there several times. The whole image is a group of its own.
        """
        tiles = cover(height, width, self.size, self.overlap)
        count = -(-len(tiles) // self.batch)
        each = -(-len(tiles) // count)
        for first in range(0, len(tiles), each):
            group = tiles[first : first + each]
            yield group + group[-1:] * (each - len(group))
        if self.whole and len(tiles) > 1:
            yield [Tile(0, 0, width, height)]


class WholeImages(NamedTuple):
    """Images as they are on disk, uint8 and of any sizes, in the place of a Batch.

    samples: the images, with their proposals if there are any. image_ids: their ids.
    """

    samples: Tuple[Sample, ...]
    image_ids: Tuple[ImageId, ...] = ()


class TakesBatches(Protocol):
    """The protocol of a detector behind ``detect``."""

    @property
    def class_names(self) -> Sequence[str]:
        """The names of the labels."""

    @property
    def name(self) -> str:
        """The detector's name in messages."""

    @property
    def max_pixels(self) -> int:
        """The largest number of pixels of an image file that is decoded."""

    @property
    def takes_proposals(self) -> bool:
        """Whether it needs proposals."""

    @property
    def threshold(self) -> Optional[Threshold]:
        """The least scores of the detections that are returned; None returns all."""

    def batch(self, images: Sequence[Any], proposals: Any = None, channels: str = "RGB") -> Any:
        """Returns the Batch that the network gets for a list of images."""

    def detect_batch(self, batch: Any) -> List[Detections]:
        """Returns the Detections of each image of a Batch."""


class Tiled:
    """A detector that looks at images in tiles, with the methods by which a detector is used.

    detector: the detector of one tile. tiling: the tiles.

    Tiles are views of the image, and one group of them is resized and turned into floats at a time:
    an image of 8000 x 8000 pixels takes no more than its own 0.2 GB.
    """

    def __init__(self, detector: TakesBatches, tiling: Tiling) -> None:
        self._detector, self._tiling = detector, tiling
        self.class_names, self.max_pixels = tuple(detector.class_names), detector.max_pixels
        self.takes_proposals, self.name = detector.takes_proposals, detector.name

    @property
    def threshold(self) -> Optional[Threshold]:
        """The detector's own threshold."""
        return self._detector.threshold

    def batch(
        self, images: Sequence[Any], proposals: Any = None, channels: str = "RGB"
    ) -> WholeImages:
        """Returns the images of a list; the arguments and errors are those of ``detect``."""
        samples = [unlabelled(each) for each in read_images(images, self.max_pixels, channels)]
        return WholeImages(
            tuple(add_proposals(samples, proposals, self.takes_proposals, self.name))
        )

    def detect_batch(self, batch: WholeImages) -> List[Detections]:
        """Returns the Detections of each image, in its own pixels."""
        found = []
        for sample in batch.samples:
            height, width = sample.image.shape[:2]
            seen = list(self._seen(sample))
            tiling = self._tiling
            found.append(merged(seen, (height, width), tiling.merge, tiling.iou))
        return found

    def _seen(self, sample: Sample) -> Iterator[Seen]:
        """Yields what the detector finds in each view of an image."""
        for group in self._tiling.groups(*sample.image.shape[:2]):
            images = [tile.of(sample.image) for tile in group]
            proposals: Optional[List[np.ndarray]] = None
            if sample.proposals is not None:  # the detector cuts those that a tile cuts
                proposals = [sample.proposals - tile.origin for tile in group]
            found = self._detector.detect_batch(self._detector.batch(images, proposals))
            for tile, own in dict(zip(group, found)).items():
                yield Seen(own, tile)


def whole_images(
    samples: Sequence[Sample], originals: object, pad_multiple: int, indices: object, number: int
) -> WholeImages:
    """Returns samples as they are, for a Loader in the place of make_batch."""
    return WholeImages(tuple(samples), tuple(sample.image_id for sample in samples))
