"""The data that transforms are measured on, and how a detector is trained on it."""

import json
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from detkit.data.presets import FLIP

Plain = Dict[str, Any]  # a section of a config

FPN = "bccd/faster_rcnn_mobilenet_v2_fpn_bccd.yaml"
MASKS = "pennfudan/mask_rcnn_mobilenet_v2_fpn_pennfudan.yaml"


class Base(NamedTuple):
    """Data, and the config of the detector.

    config: the file below configs/.
    train: the section of the dataset that the training images are drawn from; None: Shapes, which
        are drawn in any number.
    val: the section of the images that are judged, of which there are ``judged``.
    images: the number of training images.
    short, long: the arguments of Resize.
    step, image: the seconds of a step and of a judged image, on one thread with AVX-512.
    """

    config: str
    train: Plain
    val: Plain
    judged: int
    images: int
    short: int
    long: int
    step: float
    image: float

    @property
    def resize(self) -> Plain:
        """The transform Resize."""
        return {"type": "Resize", "short": self.short, "long": self.long}


def _pennfudan(split: str, *part: float) -> Plain:
    root = "${PENNFUDAN_ROOT:data/pennfudan}"
    return {
        "type": "COCO",
        "annotations": f"{root}/annotations/instances_{split}.json",
        "images": f"{root}/images",
        **({"image_part": list(part)} if part else {}),
    }


def _bccd(split: str) -> Plain:
    names = ["RBC", "WBC", "Platelets"]
    root = "${BCCD_ROOT:data/bccd}"
    return {"type": "VOC", "root": root, "splits": [split], "class_names": names}


_SHAPES: Plain = {
    "type": "Shapes",
    "size": [192, 192],
    "max_objects": 6,
    "min_object": 0.1,
    "max_object": 0.6,
}

# Training images are drawn from one part of Penn-Fudan's file, and the others are judged, so that
# its 40 test images choose no default. All of them are needed to compare numbers of images.
BASES: Dict[str, Base] = {
    "pennfudan": Base(
        *(MASKS, _pennfudan("train", 0, 0.4), _pennfudan("train", 0.4, 1)),
        *(78, 30, 256, 512, 0.37, 0.25),
    ),
    "bccd": Base(FPN, _bccd("train"), _bccd("val"), 87, 40, 300, 600, 0.4, 0.2),
    "shapes": Base(
        *(FPN, {**_SHAPES, "length": 1000, "seed": 1}, {**_SHAPES, "length": 150, "seed": 2}),
        *(150, 40, 192, 384, 0.3, 0.1),
    ),
    "pennfudan_test": Base(
        *(MASKS, _pennfudan("train"), _pennfudan("test"), 40, 30, 256, 512, 0.37, 0.25),
    ),
}


class Change(NamedTuple):
    """The transforms of a training, as a difference to Resize and HorizontalFlip.

    before, after: further transforms before and after the two. resize: one instead of Resize.
    flip: whether HorizontalFlip is there.
    """

    before: Sequence[Plain] = ()
    after: Sequence[Plain] = ()
    resize: Optional[Plain] = None
    flip: bool = True

    def transforms(self, base: Base) -> List[Plain]:
        """Returns the list ``data.train_transforms``."""
        flips = [FLIP] * self.flip
        return [*self.before, self.resize or base.resize, *flips, *self.after]


PLAIN = Change()  # the config's own


def overrides(base: Base, change: Change, images: int, steps: int, seed: int) -> List[str]:
    """Returns the overrides of the config for a training, which is judged at its end alone.

    images: those that are trained on; the seed draws them, too.
    """
    subset = {"type": "Subset", "images": images, "seed": seed, "dataset": base.train}
    warmup = min(50, max(1, steps // 10))
    values = {
        "seed": seed,
        "data.train": {"_delete_": True, **subset},
        "data.val": {"_delete_": True, **base.val},
        "data.test": None,
        "data.train_transforms": change.transforms(base),
        "data.val_transforms": [base.resize],
        "train.epochs": None,
        "train.steps": steps,
        "train.schedule": {"_delete_": True, "type": "CosineSchedule", "warmup_steps": warmup},
        "train.evaluate_every": {"steps": steps},
        "train.checkpoint_every": {"steps": 100},
        "train.keep": 1,
        "train.pictures": 0,
        "evaluate": {"_delete_": True, "type": "COCOEvaluator"},
    }
    return [f"{key}={json.dumps(value)}" for key, value in values.items()]
