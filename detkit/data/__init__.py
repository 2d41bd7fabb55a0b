"""Files on disk -> padded batches, without MXNet: the only numbers here are numpy's.

The first name that is taken from this package registers the datasets and the transforms.
"""

from importlib import import_module

__all__ = [
    "COCO",
    "VOC",
    "Annotation",
    "Batch",
    "Dataset",
    "HorizontalFlip",
    "Loader",
    "OneClass",
    "Photometric",
    "Resize",
    "Sample",
    "Shapes",
    "Transform",
    "VerticalFlip",
    "apply",
    "check_image_file",
    "check_proposals",
    "decode_image",
    "group_by_aspect",
    "load_proposals",
    "make_batch",
    "to_rgb_uint8",
    "with_proposals",
]


def __getattr__(name):
    # Who takes images from a single module, as exported detectors do, needs none of what the
    # datasets read their files with.
    if name in __all__:
        return getattr(import_module("detkit.data.everything"), name)
    raise AttributeError(f"module 'detkit.data' has no attribute {name!r}")
