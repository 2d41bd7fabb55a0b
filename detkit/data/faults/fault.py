"""A fault of a dataset, and the kinds of them: the rule of each, and how it is mended."""

from typing import Dict, List, Mapping, NamedTuple, Optional, Protocol, Tuple, runtime_checkable

from detkit.data.sample import Dataset

Splits = Mapping[str, Dataset]
SAME = 0.95  # IoU above which two boxes of one class are one object
LEAST_SIDE = 3  # pixels of the image on disk


class Kind(NamedTuple):
    """A kind of faults.

    title: what it is, in the plural.
    mended: what a corrected copy does about it; "" if a person has to decide.
    """

    title: str
    mended: str


_DROPPED = "the object is left out"
_LEFT_OUT = "the image is left out"
KINDS: Dict[str, Kind] = {
    # of images
    "missing": Kind("missing images or annotations", _LEFT_OUT),
    "truncated": Kind("truncated images", _LEFT_OUT),
    "unreadable": Kind("unreadable images", _LEFT_OUT),
    "malformed": Kind("malformed annotations", _LEFT_OUT),
    "orientation": Kind("images that EXIF turns, annotated as they lie in the file", _LEFT_OUT),
    "size": Kind("images of another size than annotated", "the size is that of the image"),
    "copy": Kind("copies of an image", "one of them stays"),
    "copy-across": Kind("copies of an image in several splits", "the one to be judged on stays"),
    "near-copy": Kind("images that are nearly the same", ""),
    "near-copy-across": Kind("images that are nearly the same, in several splits", ""),
    # of objects
    "degenerate": Kind("boxes without area", _DROPPED),
    "outside": Kind("boxes outside of their image", _DROPPED),
    "tiny": Kind(f"boxes with a side of less than {LEAST_SIDE} pixels", _DROPPED),
    "duplicate": Kind(f"boxes of one class with an IoU above {SAME}", "the first one stays"),
    "crossing": Kind("polygons that cross themselves", "the mask stays, as run lengths"),
    "no-polygon": Kind("boxes among polygons, whose masks would be the boxes", ""),
    "other-class": Kind("objects of a class that is not in class_names", _DROPPED),
    "unusable": Kind("objects that cannot be used for another reason", _DROPPED),
    # of classes
    "similar-classes": Kind(
        "names of classes that differ in case, blanks, hyphens or underscores alone",
        "they become the name that most objects have",
    ),
    "unused-class": Kind("classes without an object", ""),
    "one-sided-class": Kind("classes that some splits have no object of", ""),
}


class Fault(NamedTuple):
    """One fault.

    kind: a key of KINDS.
    splits: the names of the splits that it is in.
    where: the place: a file, with the key or the line in it.
    what: what is wrong there.
    images: (split, index) of the images that a corrected copy changes or leaves out; none for an
        image that the reader has left out.
    things: the numbers of the objects of the image, from 0 on, that it changes or leaves out.
    """

    kind: str
    splits: Tuple[str, ...]
    where: str
    what: str
    images: Tuple[Tuple[str, int], ...] = ()
    things: Tuple[int, ...] = ()


def mended(fault: Fault) -> str:
    """Returns what a corrected copy does about a fault; "" if a person has to decide."""
    left_out_by_reader = fault.kind == "size" and not fault.images
    return _LEFT_OUT if left_out_by_reader else KINDS[fault.kind].mended


@runtime_checkable
class HasPlaces(Protocol):
    """The protocol of a dataset that knows where its files state the objects."""

    def places(self, index: int) -> List[str]:
        """Returns the place of each object of an image."""


def place_of(dataset: Dataset, index: int, thing: Optional[int] = None) -> str:
    """Returns the place of an image, or of one of its objects."""
    if thing is not None and isinstance(dataset, HasPlaces):
        return dataset.places(index)[thing]
    name = f"image {dataset.annotation(index).image_id!r}"
    path = getattr(dataset, "image_path", None)
    name = str(path(index)) if path else name
    return name if thing is None else f"{name}: object {thing + 1}"
