"""Small datasets on disk in every layout, and what a reader makes of a file that is changed."""

from pathlib import Path
from typing import NamedTuple, Optional, Tuple, Union

import cv2
import numpy as np
import pytest

from detkit.data.recognise import read_source, recognise
from detkit.errors import DataError
from fuzz.layouts import FILES


def make(folder, layout, **changes):
    """Writes the three images of fuzz.layouts and other files; returns the folder."""
    for name, data in {**FILES[layout](), **changes}.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return Path(folder)


def paint(path, seed, size=(60, 40)):
    """Writes an image of size (width, height) that looks like those of no other seed."""
    cells = np.random.default_rng(seed).integers(0, 255, (8, 12, 3)).astype(np.uint8)
    cv2.imwrite(str(path), cv2.resize(cells, size, interpolation=cv2.INTER_NEAREST))


def read(folder, layout=None):
    """The only dataset of a folder."""
    (dataset,) = read_source(recognise(folder, layout)).values()
    return dataset


def file_name(dataset, index):
    """The name of the file of an image, which may be packed; without files, the image's id."""
    if hasattr(dataset, "image_name"):
        return dataset.image_name(index)
    if hasattr(dataset, "image_path"):
        return dataset.image_path(index).name
    return str(dataset.annotation(index).image_id)


def things(dataset):
    """{name of the image without suffix: [(class, box, difficult)]}, in whole hundredths."""
    found = {}
    for index in range(len(dataset)):
        annotation = dataset.annotation(index)
        if isinstance(annotation.image_id, str):
            name = annotation.image_id
        else:
            name = file_name(dataset, index)
        rows = zip(annotation.labels, annotation.boxes.tolist(), annotation.difficult)
        found[Path(name).stem] = [
            (dataset.class_names[label], tuple(round(side, 2) for side in box), bool(difficult))
            for label, box, difficult in rows
        ]
    return found


class Malformed(NamedTuple):
    """A change of a file, and what a reader must make of it.

    file: the file.
    old, new: a part of its text and what takes its place. None as `old` is the whole file, and None
        as `new` removes the file.
    outcome: "refused" (DataError), "bad" (the image is left out), "dropped" (the object is), or
        "read" (nothing is lost).
    says: words of the message.
    rest: the numbers of images and of objects that are read.
    """

    file: str
    old: Union[str, None]
    new: Union[str, bytes, None]
    outcome: str
    says: Tuple[str, ...] = ()
    rest: Optional[Tuple[int, int]] = None

    def __str__(self):
        return f"{self.file}: {str(self.old)[:20]} -> {str(self.new)[:30]}"


def check(case, folder, read_it):
    """Applies a change to the files of a folder and compares what the reader says with the case."""
    path = folder / case.file
    if case.new is None:
        path.unlink()
    else:
        new = case.new if isinstance(case.new, bytes) else case.new.encode()
        text = path.read_bytes() if path.exists() else b""
        assert case.old is None or case.old.encode() in text, "the change changes nothing"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(new if case.old is None else text.replace(case.old.encode(), new, 1))
    if case.outcome == "refused":
        with pytest.raises(DataError) as caught:
            read_it(folder)
        said = str(caught.value)
    else:
        dataset = read_it(folder)
        faults = {"bad": dataset.bad_images, "dropped": dataset.dropped, "read": [("", "")]}
        said = "\n".join(f"{image_id}: {reason}" for image_id, reason in faults[case.outcome])
        others = len(dataset.bad_images) + len(dataset.dropped)
        assert others == len(faults[case.outcome]) * (case.outcome != "read")
        objects = sum(len(dataset.annotation(i).labels) for i in range(len(dataset)))
        assert (len(dataset), objects) == case.rest
        for index in range(len(dataset)):
            assert dataset.image(index).shape == (40, 60, 3)
    for words in case.says:
        assert words in said, said
