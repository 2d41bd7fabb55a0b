"""The sha256 of a dataset's annotations: whether two runs saw the same objects."""

import hashlib

import numpy as np

from detkit.data.sample import Dataset


def digest_of(dataset: Dataset) -> str:
    """Returns the sha256 of the annotations in hexadecimal, as they were read.

    It depends on the class names, and on each image's id, size, boxes, labels and difficult objects
    in their order. It depends neither on the format and the place of the files, nor on the pixels,
    masks and fields.
    """
    digest = hashlib.sha256(repr(tuple(dataset.class_names)).encode())
    for index in range(len(dataset)):
        one = dataset.annotation(index)
        digest.update(f"\n{one.image_id} {one.width} {one.height} {len(one.boxes)}\n".encode())
        for array, dtype in ((one.boxes, "<f4"), (one.labels, "<i4"), (one.difficult, "?")):
            digest.update(np.ascontiguousarray(array, dtype).tobytes())
    return digest.hexdigest()
