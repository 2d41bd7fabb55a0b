"""The folder of a run made of a converter's Detector: a config and a checkpoint for the tools."""

import os
from typing import Any, Dict, Optional, Sequence, Tuple

from mxnet.gluon import HybridBlock

from detkit.build import SECTIONS
from detkit.checkpoints import FOLDER, Origin, Progress, new_branch, point_last_to, save_checkpoint
from detkit.config import Config, dump_config, load_config, to_plain
from detkit.config.yaml import dump_yaml
from detkit.converters.recipes import BACKGROUND, load_recipe
from detkit.data.readers.voc import VOC_CLASSES
from detkit.detector import Detector
from detkit.errors import CheckpointError, WeightsError
from detkit.files.disk import make_folder
from detkit.plugins import Copies, write_copies
from detkit.typing import NDArray

CONFIG = "config.yaml"


class _NoOptimizer:
    """An optimizer before its first update, whose state is empty."""

    def state(self) -> Dict[str, NDArray]:
        """Returns no arrays."""
        return {}


def save_run(detector: Detector, folder: str) -> Tuple[str, str]:
    """Writes ``folder``/config.yaml and a checkpoint in it; returns their paths.

    detector: a converter's Detector, whose labels are 0, 1, 2, ...

    Raises CheckpointError if the folder holds a run already, and WeightsError for a detector with
    torchvision's numbers, which count the background.
    """
    assert detector.config is not None  # every converter gives its Detector the recipe
    names = detector.class_names
    if BACKGROUND in names:
        raise WeightsError(
            "detector: expected the labels of classes alone, found torchvision's numbers; convert "
            "it without labels='torchvision'"
        )
    return write_run(folder, config_text(detector.config, names), detector.model, names)


def write_run(
    folder: str,
    text: str,
    model: HybridBlock,
    class_names: Sequence[str],
    plugins: Optional[Copies] = None,
) -> Tuple[str, str]:
    """Writes a config of this text and a checkpoint of ``model`` before its first step.

    plugins: the Copies of the plugins that the config lists.

    Returns the paths of the two in ``folder``. Raises CheckpointError if it holds a run already.
    """
    check_folder(folder)
    config_path = os.path.join(folder, CONFIG)
    checkpoint = os.path.join(folder, FOLDER, f"step-{0:08d}")
    branch = new_branch()
    make_folder(os.path.join(folder, FOLDER))
    if plugins:
        write_copies(folder, plugins)
    with open(config_path, "w", encoding="utf-8") as file:
        file.write(text)
    save_checkpoint(
        checkpoint,
        model,
        _NoOptimizer(),
        Progress(),
        class_names,
        Origin(dump_config(load_config(config_path)), plugins.files if plugins else {}),
        metrics=None,
        best=None,
        branch=branch,
    )
    point_last_to(os.path.dirname(checkpoint), checkpoint, 0, branch)
    return config_path, checkpoint


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
