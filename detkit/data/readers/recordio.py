"""Reads images that are packed into MXNet's RecordIO, with annotations in COCO's format.

Millions of small files are slow to copy, to list and to read from a disk over a network. The three
files SPLIT.rec, SPLIT.idx and SPLIT.json hold them instead: the bytes of the image files, the
places of the records, and the annotations. ``detkit convert --to recordio`` writes them. An entry
of ``images`` in the JSON file has the key ``record``, the key of its image in the index.
"""

from pathlib import Path
from typing import Collection, Optional, Sequence

import numpy as np

from detkit.data.image_headers import HEAD_BYTES, format_of
from detkit.data.images import MAX_PIXELS, decode_bytes, reduced_bytes
from detkit.data.readers.coco import COCOFile
from detkit.data.readers.coco_images import Choice, Place
from detkit.data.readers.lists import Names
from detkit.errors import DataError, ImageError
from detkit.files.recordio import RecordFile
from detkit.registry import DATASETS


@DATASETS.register()
class RecordIO(COCOFile):
    """The images of a record file; all else is as for COCO.

    records: the path of the file of records, SPLIT.rec, which has SPLIT.idx beside it.
    annotations: the path of the file in COCO's format; null: SPLIT.json.
    class_names, image_list, image_part, max_pixels: see COCO.

    A record that is truncated, malformed or no image is a bad image, and the others are read. Only
    the beginning of each is looked at before a training.

    Raises DataError if a file is missing or malformed as a whole, if none of the images has a
    record in the index, and if no object is left that is not a crowd.
    """

    def __init__(
        self,
        records: str,
        annotations: Optional[str] = None,
        class_names: Names = None,
        image_list: Optional[str] = None,
        image_part: Optional[Sequence[float]] = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        path = Path(records).expanduser()
        file = path.with_suffix(".json") if annotations is None else Path(annotations).expanduser()
        self._records = _Records(path)
        choice = Choice(class_names, image_list, image_part, max_pixels)
        super().__init__(file, self._records, choice)

    def image_name(self, index: int) -> str:
        """Returns the name of the file that an image was packed from."""
        return self._places[index].name

    def image_bytes(self, index: int) -> bytes:
        """Returns the bytes of that file. Raises ImageError."""
        return self._records.read(self._places[index])


class _Records:
    """The ImageSource of a record file."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, RecordFile(path)

    def check_place(self, place: Place, where: str) -> None:
        """Raises DataError for an image without a record, see ImageSource."""
        if place.record not in self._file:
            raise DataError(
                f"{where}.record: expected a key in the index of {self._path}, found "
                f"{place.record!r} (image {place.name!r})"
            )

    def require(self, file: Path, places: Collection[Place]) -> None:
        """Raises DataError if none of the images has a record, see ImageSource."""
        if not places:
            raise DataError(
                f"{file}: expected images with the key record, which is in the index of "
                f"{self._path}, found none; name the files of one packed split"
            )

    def check(self, place: Place) -> None:
        """Raises ImageError unless a record begins as an image."""
        head = self.read(place, HEAD_BYTES)
        if format_of(head) is None:
            raise ImageError(
                f"{self._place(place)}: expected an image, found bytes that begin with {head[:8]!r}"
            )

    def decode(self, place: Place, max_pixels: int) -> np.ndarray:
        """Returns an image, see ImageSource."""
        size = place.width, place.height
        return decode_bytes(self.read(place), self._place(place), max_pixels, size)

    def reduced(self, place: Place, factor: int, max_pixels: int) -> Optional[np.ndarray]:
        """Returns a smaller image or None, see ImageSource."""
        size = place.width, place.height
        return reduced_bytes(self.read(place), self._place(place), factor, size, max_pixels)

    def read(self, place: Place, *most: int) -> bytes:
        """Returns the bytes of an image, or its beginning. Raises ImageError."""
        assert place.record is not None  # ``check_place`` has seen it
        try:
            return self._file.read(place.record, *most)
        except DataError as error:
            raise ImageError(f"{error} (image {place.name!r})") from error

    def _place(self, place: Place) -> str:
        return f"{self._path}: record {place.record} (image {place.name!r})"
