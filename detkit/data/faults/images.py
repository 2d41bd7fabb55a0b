"""Faults of image files: what cannot be decoded, other sizes than annotated, and copies."""

from typing import Dict, Iterator, List

from detkit.data.faults.fault import Fault, Splits
from detkit.data.faults.pictures import Key, Picture, exact_copies
from detkit.data.faults.recorded import OF_IMAGES, kind_of, stored_size
from detkit.data.near_duplicates import near_duplicates
from detkit.wording import first_few


def undecodable(splits: Splits, pictures: Dict[Key, Picture]) -> Iterator[Fault]:
    """Yields a fault for each image that the reader took and that cannot be decoded."""
    for (split, index), picture in pictures.items():
        if picture.fault is not None:
            what = picture.fault[len(f"{picture.path}: ") :]
            kind = kind_of(what, OF_IMAGES, "unreadable")
            yield Fault(kind, (split,), str(picture.path), what, ((split, index),))


def other_sizes(splits: Splits, pictures: Dict[Key, Picture]) -> Iterator[Fault]:
    """Yields a fault for each image whose annotation states another width or height."""
    for (split, index), picture in pictures.items():
        annotation = splits[split].annotation(index)
        stated = annotation.width, annotation.height
        if picture.size is None or picture.size == stated:
            continue
        turned = stored_size(picture.path) == stated and picture.size == stated[::-1]
        what = (
            f"annotated with {stated[0]} x {stated[1]} pixels, found {picture.size[0]} x "
            f"{picture.size[1]}{' after its EXIF orientation is applied' * turned}"
        )
        kind = "orientation" if turned else "size"
        yield Fault(kind, (split,), str(picture.path), what, ((split, index),))


def copies(splits: Splits, pictures: Dict[Key, Picture]) -> Iterator[Fault]:
    """Yields a fault for each group of images whose files are the same."""
    for group in exact_copies(pictures):
        yield _of_group("copy", group, pictures)


def near_copies(splits: Splits, pictures: Dict[Key, Picture]) -> Iterator[Fault]:
    """Yields a fault for each group of images that look the same, other than exact copies."""
    keys = list(pictures)
    for group in near_duplicates([pictures[key].fingerprint for key in keys]):
        first: Dict[str, Key] = {}
        for key in (keys[number] for number in group):
            found = pictures[key].fingerprint
            first.setdefault(found.sha256 if found else "", key)
        if len(first) > 1:
            yield _of_group("near-copy", list(first.values()), pictures)


def _of_group(kind: str, group: List[Key], pictures: Dict[Key, Picture]) -> Fault:
    splits = tuple(dict.fromkeys(split for split, _ in group))
    first, *others = (f"{pictures[key].path} ({key[0]})" for key in group)
    across = "-across" * (len(splits) > 1)
    what = f"{'the same file as' if kind == 'copy' else 'nearly the same as'} {first_few(others)}"
    return Fault(f"{kind}{across}", splits, first, what, tuple(group))
