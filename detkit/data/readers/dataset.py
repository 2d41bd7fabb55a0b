"""A dataset made of the records of a reader: what all formats share is here, and written once."""

import collections
from pathlib import Path
from typing import Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from detkit import segmentations
from detkit.data.images import decode_image, decode_reduced, image_size
from detkit.data.names import is_file
from detkit.data.readers.lists import Names, given_classes, listed_images, unknown_class
from detkit.data.readers.masks import decode_masks
from detkit.data.readers.records import Corners, Record, Thing, box_fault, summary
from detkit.data.sample import Annotation, Faults
from detkit.errors import DataError, ImageError
from detkit.segmentations import Segmentation, parse_segmentation
from detkit.wording import first_few

DECIMALS = 6  # of the corners of polygons that are stated as shares, in pixels


class Options(NamedTuple):
    """The arguments that every reader passes on, see FileDataset."""

    class_names: Names
    image_list: Optional[str]
    max_pixels: int


class Object(NamedTuple):
    """One object that can be used."""

    box: Corners
    label: int
    difficult: bool
    segmentation: Optional[Segmentation]
    where: str


class FileDataset:
    """The images and objects of a format's records.

    source: the file or folder that messages begin with.
    records: the images, in their order.
    found_classes: the class names in the order of the format; None: those of all records, sorted.
    options: class_names: the K names in the order of their labels, or the path of a text file with
        one name per line, or null for the classes of the data. Objects of other classes are then
        dropped and counted. image_list: the path of a text file of the images that are read, one
        name per line, or null for all. max_pixels: the largest number of pixels of an image.

    An image's id is the name of its file below the folder of images. Boxes are clipped to the
    image. A size that the files state must be that of the image file.

    dropped: (image_id, reason) of the dropped objects: of other classes, degenerate, outside, or of
        a shape that is no box.
    bad_images: (image_id, reason) of the images that are missing, damaged or of another size, and
        of those whose annotation is malformed. They are left out.

    Raises DataError for an image that is named twice, or if no object is left.
    """

    def __init__(
        self,
        source: Path,
        records: Iterable[Record],
        found_classes: Optional[Sequence[str]],
        options: Options,
    ) -> None:
        self._source, self._max_pixels = source, options.max_pixels
        records = list(records)
        self.class_names = _classes(source, records, found_classes, options.class_names)
        self._labels = {name: label for label, name in enumerate(self.class_names)}
        self.dropped: Faults = []
        self.bad_images: Faults = []
        self._annotations: List[Annotation] = []
        self._paths: List[Path] = []
        self._outlines: List[List[Optional[Segmentation]]] = []
        self._wheres: List[List[str]] = []
        for record in _chosen(source, records, options.image_list):
            self._add(record)
        if not any((~annotation.difficult).any() for annotation in self._annotations):
            found = summary(len(self), self.bad_images, self.dropped)
            raise DataError(f"{source}: expected usable objects, found none; {found}")
        self._has_masks = any(outline is not None for each in self._outlines for outline in each)

    def __len__(self) -> int:
        return len(self._annotations)

    def annotation(self, index: int) -> Annotation:
        """Returns the objects of an image."""
        return self._annotations[index]

    def image(self, index: int) -> np.ndarray:
        """Returns the image (H, W, 3) uint8 RGB. Raises ImageError if it cannot be decoded."""
        annotation = self._annotations[index]
        size = annotation.width, annotation.height
        return decode_image(self._paths[index], self._max_pixels, size)

    def reduced_image(self, index: int, factor: int) -> Optional[np.ndarray]:
        """Returns the image in 1 / factor of its size, or None; see decode_reduced."""
        annotation = self._annotations[index]
        size = annotation.width, annotation.height
        return decode_reduced(self._paths[index], factor, size, self._max_pixels)

    def image_path(self, index: int) -> Path:
        """Returns the file of an image."""
        return self._paths[index]

    def places(self, index: int) -> List[str]:
        """Returns the place of each object of an image in the files of the dataset."""
        return self._wheres[index]

    def segmentations(self, index: int) -> List[Optional[Segmentation]]:
        """Returns the segmentation of each object, None for an object without one."""
        return self._outlines[index]

    def masks(self, index: int) -> Optional[np.ndarray]:
        """Returns masks (G, H, W) uint8 of 0 and 1; None if no object of the dataset has one.

        Raises the DataError of `decode_masks`.
        """
        if not self._has_masks:
            return None
        annotation = self._annotations[index]
        where = f"{self._source}: image {annotation.image_id!r}"
        return decode_masks(annotation, self._outlines[index], self._max_pixels, where)

    def _add(self, record: Record) -> None:
        try:
            size = _size(record, self._max_pixels)
        except (DataError, ImageError) as error:
            self.bad_images.append((record.name, str(error)))
            return
        things = (self._object(record, thing, *size) for thing in record.things)
        kept = [thing for thing in things if thing]
        self._paths.append(record.path)
        self._outlines.append([thing.segmentation for thing in kept])
        self._wheres.append([thing.where for thing in kept])
        self._annotations.append(
            Annotation(
                image_id=record.name,
                width=size[0],
                height=size[1],
                boxes=np.array([thing.box for thing in kept], np.float32).reshape(-1, 4),
                labels=np.array([thing.label for thing in kept], np.int32),
                difficult=np.array([thing.difficult for thing in kept], bool),
            )
        )

    def _object(self, record: Record, thing: Thing, width: int, height: int) -> Optional[Object]:
        """Returns the object in pixels; None if it is dropped, with the reason in `dropped`."""
        scale = (width, height) if record.relative else (1, 1)
        outline: Optional[Segmentation] = None
        fault = thing.fault
        if thing.name not in self._labels:
            fault = unknown_class(thing.name, self.class_names)
        elif fault is None:
            try:
                outline = _outline(thing.segmentation, scale, height, width)
                box = _box(thing, scale, outline)
                fault = box_fault(box, width, height)
            except ValueError as error:
                fault = str(error)
        if fault is not None:
            self.dropped.append((record.name, f'{thing.where}: "{thing.name}": {fault}'))
            return None
        x1, y1, x2, y2 = np.clip(box, 0, (width, height) * 2).tolist()
        label = self._labels[thing.name]
        return Object((x1, y1, x2, y2), label, thing.difficult, outline, thing.where)


def _classes(
    source: Path, records: Sequence[Record], found: Optional[Sequence[str]], given: Names
) -> Tuple[str, ...]:
    """Returns the class names: those of the config, of the format, or of the objects, sorted."""
    names = given_classes(given) or tuple(
        found if found is not None else sorted({t.name for r in records for t in r.things})
    )
    if not names:
        faults = first_few([record.fault for record in records if record.fault], 3)
        raise DataError(
            f"{source}: expected objects, found none in {len(records)} images"
            + (f"; {faults}" if faults else "")
        )
    return names


def _chosen(source: Path, records: Sequence[Record], image_list: Optional[str]) -> List[Record]:
    """Returns the records that the list names, or all of them. Raises DataError for a twin."""
    counts = collections.Counter(record.name for record in records)
    twins = [name for name, count in counts.items() if count > 1]
    if twins:
        raise DataError(f"{source}: expected each image once, found twice: {first_few(twins)}")
    if image_list is None:
        return list(records)
    names = listed_images(image_list, counts, str(source))
    return [record for record in records if record.name in names]


def _size(record: Record, max_pixels: int) -> Tuple[int, int]:
    """Returns (width, height) of a record's image. Raises DataError or ImageError."""
    if record.fault is not None:
        raise DataError(record.fault)
    if not is_file(record.path):
        raise DataError(f"{record.path}: no such file")
    size = image_size(record.path, max_pixels)
    if record.size is not None and record.size != size:
        raise DataError(
            f"{record.path}: expected the {record.size[0]} x {record.size[1]} pixels of the "
            f"annotation, found {size[0]} x {size[1]}"
        )
    return size


def _outline(
    value: object, scale: Tuple[int, int], height: int, width: int
) -> Optional[Segmentation]:
    """Returns a segmentation in pixels. Raises ValueError for one that cannot be used."""
    if value is None:
        return None
    if isinstance(value, list) and scale != (1, 1):
        # Without the rounding errors of the shares, a corner that lies on a pixel's border stays.
        pixels = [np.reshape(part, (-1, 2)) * scale for part in value]
        value = [part.round(DECIMALS).ravel().tolist() for part in pixels]
    outline = parse_segmentation(value, height, width)
    if not outline:
        raise ValueError("its polygons have fewer than three corners")
    return outline


def _box(thing: Thing, scale: Tuple[int, int], outline: Optional[Segmentation]) -> Corners:
    """Returns the box in pixels: the one that is stated, or else that of the segmentation."""
    if thing.box is not None:
        x1, y1, x2, y2 = (side * factor for side, factor in zip(thing.box, scale * 2))
        return x1, y1, x2, y2
    if outline is None:
        raise ValueError("it has neither a box nor a segmentation")
    return segmentations.box_of(outline)
