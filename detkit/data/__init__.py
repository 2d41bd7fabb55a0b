"""Reads datasets from disk and makes padded batches of numpy arrays; MXNet is not needed."""

from importlib import import_module
from typing import Any

_MODULES = {
    "augment": (
        *("JPEG", "Affine", "AspectCrop", "Blur", "CopyPaste", "Cutout", "Expand"),
        *("Greyscale", "MixUp", "Mosaic", "Noise", "RandomCrop", "ScaleJitter"),
    ),
    "combined": ("ClassBalanced", "Concat", "Repeat", "Subset"),
    "batch": ("group_by_aspect", "make_batch"),
    "given_images": ("to_rgb_uint8",),
    "images": ("check_image_file", "decode_image"),
    "keypoints": ("Keypoints",),
    "loader": ("Loader",),
    "one_class": ("OneClass",),
    "precomputed": ("load_proposals", "proposals_of_files"),
    "proposed": ("add_proposals", "check_proposals", "with_proposals"),
    "proposers": ("propose", "selective_search", "sliding_windows"),
    "readers": (
        *("COCO", "CSV", "CVAT", "ImageNetDET", "JSONLines", "LabelMe", "LabelStudio"),
        *("OpenImages", "RecordIO", "VOC", "VOCFolder", "YOLO"),
    ),
    "sample": ("Annotation", "Batch", "Dataset", "MovingField", "Sample", "Transform"),
    "shapes": ("Shapes",),
    "tiled_dataset": ("Tiles",),
    "transforms": ("HorizontalFlip", "Photometric", "Resize", "VerticalFlip", "apply"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    # Modules are imported late: an exported detector only decodes images and should not need the
    # libraries that the datasets read their files with.
    if name in _MODULE_OF:
        return getattr(import_module(f"detkit.data.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'detkit.data' has no attribute {name!r}")
