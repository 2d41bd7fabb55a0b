"""A converter's Detector -> a run's folder: a config and a checkpoint to train, test and show."""

import os
from types import SimpleNamespace

import mxnet as mx

from detkit.build import SECTIONS, build_model
from detkit.config import dump_config, load_config, to_plain
from detkit.config.yaml import dump_yaml
from detkit.converters.recipes import load_recipe
from detkit.data.voc import VOC_CLASSES
from detkit.errors import CheckpointError, WeightsError
from detkit.files.checkpoint import FOLDER, Progress, save_checkpoint
from detkit.files.disk import make_folder

# What torchvision calls labels that COCO has left out, and that of a RetinaNet's background.
NO_CLASSES = ("N/A", "__background__")
CONFIG = "config.yaml"


def save_run(detector, folder):
    """Write ``folder``/config.yaml and a checkpoint in it; returns their paths.

    detector: what a converter returned. Its classes that are none (NO_CLASSES) are left out, so
    that those of COCO are the 80 that the dataset has, in its order. Softmax then divides by less:
    what a score grows by is the share that they had in it.

    Raises CheckpointError where the folder holds a run already.
    """
    check_folder(folder)
    config_path = os.path.join(folder, CONFIG)
    checkpoint = os.path.join(folder, FOLDER, f"step-{0:08d}")
    class_names, model = without_gaps(detector)
    make_folder(os.path.join(folder, FOLDER))
    with open(config_path, "w", encoding="utf-8") as file:
        file.write(config_text(detector.config, class_names))
    save_checkpoint(
        checkpoint,
        model,
        SimpleNamespace(state=dict),  # an optimizer that remembers nothing
        Progress(),
        class_names,
        dump_config(load_config(config_path)),
        metrics=None,
        best=None,
    )
    return config_path, checkpoint


def check_folder(folder):
    """Raises CheckpointError where a run is in the folder that would be lost."""
    for name in (CONFIG, FOLDER):
        path = os.path.join(folder, name)
        if os.path.lexists(path):
            raise CheckpointError(
                f"{path} is there already and is not replaced; name another folder"
            )


def config_text(recipe, class_names):
    """The YAML of a config: the recipe, and what training and testing need beside it."""
    base = "training_voc" if tuple(class_names) == VOC_CLASSES else "training"
    recipe, training = to_plain(recipe), to_plain(load_recipe(base))
    data = {**training["data"], **recipe["data"]}
    data["train_transforms"] = [*map(_for_training, data["val_transforms"]), _FLIP]
    sections = {**training, **recipe, "data": data}
    text = dump_yaml({key: sections[key] for key in SECTIONS if key in sections})
    return text.replace("$${", "${")  # to be read from the environment later on


_FLIP = {"type": "HorizontalFlip"}


def _for_training(transform):
    """The same sizes, by OpenCV, which is the fastest: no pixel has to be as elsewhere."""
    return {key: value for key, value in transform.items() if key != "like"}


def without_gaps(detector):
    """The detector's class names that are one, without the background, and a model of these."""
    names = detector.foreground_names
    kept = [label for label, name in enumerate(names) if name not in NO_CLASSES]
    if len(kept) == len(names):
        return names, detector.model
    class_names = tuple(names[label] for label in kept)
    model = build_model(detector.config, class_names, mx.cpu(), pretrained=False)
    theirs = detector.model._collect_params_with_prefix()
    for name, parameter in model._collect_params_with_prefix().items():
        array = theirs[name].data()
        if array.shape != parameter.shape:
            rows = _rows(name, len(array), kept, len(names))
            array = array.take(mx.nd.array(rows, ctx=array.context, dtype="int32"))
        parameter.set_data(array)
    return class_names, model


def _rows(name, length, kept, classes):
    """The rows of a weight, ``length`` in all, that belong to the classes ``kept``."""
    if name.startswith("roi_head.classes."):
        return [0, *(1 + label for label in kept)]
    if name.startswith(("roi_head.boxes.", "mask_head.")):
        each = length // classes
        return [label * each + row for label in kept for row in range(each)]
    if name.startswith("head.classes."):  # of each anchor of a cell
        return [first + label for first in range(0, length, classes) for label in kept]
    raise WeightsError(f"{name}: it is not known which of its {length} rows belong to which class")
