"""The folder of a run made of a converter's Detector: a config and a checkpoint for the tools."""

import os
from typing import Any, Dict, List, Sequence, Tuple

import mxnet as mx
from mxnet.gluon import HybridBlock

from detkit.build import SECTIONS, build_model
from detkit.checkpoints import FOLDER, Progress, new_branch, point_last_to, save_checkpoint
from detkit.config import Config, dump_config, load_config, to_plain
from detkit.config.yaml import dump_yaml
from detkit.converters.recipes import BACKGROUND, load_recipe
from detkit.data.readers.voc import VOC_CLASSES
from detkit.detector import Detector
from detkit.errors import CheckpointError, WeightsError
from detkit.files.disk import make_folder
from detkit.typing import NDArray

# torchvision's names of the labels that COCO does not use, and of a RetinaNet's background.
NO_CLASSES = ("N/A", BACKGROUND)
CONFIG = "config.yaml"


class _NoOptimizer:
    """An optimizer before its first update, whose state is empty."""

    def state(self) -> Dict[str, NDArray]:
        """Returns no arrays."""
        return {}


def save_run(detector: Detector, folder: str) -> Tuple[str, str]:
    """Writes ``folder``/config.yaml and a checkpoint in it; returns their paths.

    detector: a converter's Detector. Labels that are no classes (NO_CLASSES) are left out, so that
        the classes of COCO are the 80 of the dataset, in its order. The softmax then has fewer
        terms, and every score grows by the share of the terms that are left out.

    Raises CheckpointError if the folder holds a run already.
    """
    check_folder(folder)
    class_names, model = without_gaps(detector)
    return write_run(folder, config_text(_recipe_of(detector), class_names), model, class_names)


def write_run(
    folder: str, text: str, model: HybridBlock, class_names: Sequence[str]
) -> Tuple[str, str]:
    """Writes a config of this text and a checkpoint of ``model`` before its first step.

    Returns the paths of the two in ``folder``. Raises CheckpointError if it holds a run already.
    """
    check_folder(folder)
    config_path = os.path.join(folder, CONFIG)
    checkpoint = os.path.join(folder, FOLDER, f"step-{0:08d}")
    branch = new_branch()
    make_folder(os.path.join(folder, FOLDER))
    with open(config_path, "w", encoding="utf-8") as file:
        file.write(text)
    save_checkpoint(
        checkpoint,
        model,
        _NoOptimizer(),
        Progress(),
        class_names,
        dump_config(load_config(config_path)),
        metrics=None,
        best=None,
        branch=branch,
    )
    point_last_to(os.path.dirname(checkpoint), checkpoint, 0, branch)
    return config_path, checkpoint


def _recipe_of(detector: Detector) -> Config:
    assert detector.config is not None  # every converter gives its Detector the recipe
    return detector.config


def check_folder(folder: str) -> None:
    """Raises CheckpointError if the folder holds a run, which would be lost."""
    for name in (CONFIG, FOLDER):
        path = os.path.join(folder, name)
        if os.path.lexists(path):
            raise CheckpointError(
                f"{path}: expected a folder without a run, found that it is there already; it is "
                "not replaced: name another folder"
            )


def config_text(recipe: Config, class_names: Sequence[str]) -> str:
    """Returns the YAML of a config: the recipe and the sections for training and testing."""
    base = "training_voc" if tuple(class_names) == VOC_CLASSES else "training"
    base = "training_keypoints" if "keypoint_head" in recipe["model"] else base
    own, training = to_plain(recipe), to_plain(load_recipe(base))
    data = {**training["data"], **own["data"]}
    data["train_transforms"] = [*map(_for_training, data["val_transforms"]), _FLIP]
    sections = {**training, **own, "data": data}
    text = dump_yaml({key: sections[key] for key in SECTIONS if key in sections})
    return text.replace("$${", "${")  # whoever reads the config replaces these references


_FLIP = {"type": "HorizontalFlip"}


def _for_training(transform: Dict[str, Any]) -> Dict[str, Any]:
    """Returns the transform without ``like``: a training need not resize as another system does.

    OpenCV, the default, is the fastest.
    """
    return {key: value for key, value in transform.items() if key != "like"}


def without_gaps(detector: Detector) -> Tuple[Sequence[str], HybridBlock]:
    """Returns the detector's names that are classes, and its model reduced to these classes."""
    names = detector.foreground_names
    kept = [label for label, name in enumerate(names) if name not in NO_CLASSES]
    if len(kept) == len(names):
        return names, detector.model
    class_names = tuple(names[label] for label in kept)
    model = build_model(_recipe_of(detector), class_names, mx.cpu(), pretrained=False)
    theirs = detector.model._collect_params_with_prefix()
    for name, parameter in model._collect_params_with_prefix().items():
        array = theirs[name].data()
        if array.shape != parameter.shape:
            rows = _rows(name, len(array), kept, len(names))
            array = array.take(mx.nd.array(rows, ctx=array.context, dtype="int32"))
        parameter.set_data(array)
    return class_names, model


def _rows(name: str, length: int, kept: Sequence[int], classes: int) -> List[int]:
    """Returns the rows, among ``length`` of a weight, that belong to the classes ``kept``."""
    if name.startswith("roi_head.classes."):
        return [0, *(1 + label for label in kept)]
    if name.startswith(("roi_head.boxes.", "mask_head.")):
        each = length // classes
        return [label * each + row for label in kept for row in range(each)]
    if name.startswith("head.classes."):  # a row for each anchor of a cell and each class
        return [first + label for first in range(0, length, classes) for label in kept]
    raise WeightsError(
        f"{name}: expected a rule for which of its {length} rows belong to which class, found "
        f"none; convert a detector without the labels {', '.join(NO_CLASSES)}"
    )
