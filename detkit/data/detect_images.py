"""The call ``detect(images)``, which a detector and an exported detector share."""

from numbers import Real
from typing import Any, Iterable, Optional, Union

from detkit.data.given_images import EXPECTED, is_one_image
from detkit.data.tiling import TakesBatches, Tiled, Tiling
from detkit.errors import DataError, ImageError


def detect_images(
    detector: TakesBatches,
    images: Any,
    proposals: Any,
    score: Optional[float],
    channels: str,
    tiles: Union[int, Tiling, None] = None,
) -> Any:
    """Returns the Detections of one image, or a list of those of several; see Detector.detect."""
    if score is not None and not (isinstance(score, Real) and 0 <= score <= 1):
        raise DataError(f"score: expected a number from 0 to 1, found {score!r}")
    if tiles is not None:
        detector = Tiled(detector, tiling_of(tiles))
    one = is_one_image(images)
    if one:
        images, proposals = [images], None if proposals is None else [proposals]
    elif not isinstance(images, Iterable):
        raise ImageError(
            f"images: expected {EXPECTED}, or a list of these, found {type(images).__name__}"
        )
    images = list(images)
    found = detector.detect_batch(detector.batch(images, proposals, channels)) if images else []
    if score is None and detector.threshold is not None:
        found = [each[detector.threshold.keeps(each)] for each in found]
    elif score is not None:
        found = [each[each.scores >= score] for each in found]
    return found[0] if one else found


def tiling_of(tiles: Union[int, Tiling]) -> Tiling:
    """Returns the Tiling of ``tiles``, for a number of pixels that of tiles with this side.

    Raises DataError for anything else.
    """
    if isinstance(tiles, Tiling):
        return tiles
    try:
        return Tiling(tiles)
    except ValueError as error:
        raise DataError(f"tiles: expected a side in pixels or a detkit.Tiling; {error}") from error
