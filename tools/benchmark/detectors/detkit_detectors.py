"""The detectors of tools/benchmark.py, as detkit builds them and as torchvision names weights."""

from pathlib import Path
from typing import Dict, Mapping, NamedTuple

import numpy as np
from mxnet.gluon import HybridBlock

from detkit.build import build_model
from detkit.config import Config, load_config
from detkit.converters.recipes import make_detector
from detkit.converters.torchvision import MODELS
from detkit.detections.coco_labels import COCO_LABELS
from detkit.detector import Detector
from detkit.device import find_device
from detkit.naming import torch_name

from . import random_data

FOLDER = Path(__file__).parent
BACKGROUND = 1  # the first label of a class; torchvision's rows before it are the background's
_FPN = MODELS["fasterrcnn_resnet50_fpn"]


class Measured(NamedTuple):
    """A detector: its config in this folder, and {beginning of our name: of torchvision's}."""

    config: str
    names: Dict[str, str]


CATALOGUE = {
    "fasterrcnn_vgg16": Measured(
        "faster_rcnn_vgg16.yaml", {**_FPN.names, "backbone.features.": "backbone."}
    ),
    "fasterrcnn_resnet50_fpn": Measured("faster_rcnn_r50_fpn.yaml", _FPN.names),
    "maskrcnn_resnet50_fpn": Measured(
        "mask_rcnn_r50_fpn.yaml", MODELS["maskrcnn_resnet50_fpn"].names
    ),
    "keypointrcnn_resnet50_fpn": Measured(
        "keypoint_rcnn_r50_fpn.yaml", MODELS["keypointrcnn_resnet50_fpn"].names
    ),
}


def config_of(name: str) -> Config:
    """Returns the config of a detector."""
    return load_config(FOLDER / CATALOGUE[name].config)


def random_state(name: str) -> Dict[str, np.ndarray]:
    """Returns random weights of a detector as a state_dict of torchvision, {name: array}."""
    model = build_model(config_of(name), COCO_LABELS[BACKGROUND:], find_device("cpu"), False)
    parameters = model._collect_params_with_prefix()
    state = {}
    for ours, theirs in names_of(name, model).items():
        rows, *rest = parameters[ours].shape
        state[theirs] = random_data.weight(theirs, (rows + _background_rows(theirs), *rest))
    return state


def build(name: str, state: Mapping[str, np.ndarray]) -> Detector:
    """Returns the detkit Detector with the weights of a state."""
    ours = {theirs: array[_background_rows(theirs) :] for theirs, array in state.items()}
    return make_detector(
        config_of(name), COCO_LABELS, ours, lambda model: names_of(name, model), "cpu", BACKGROUND
    )


def names_of(name: str, model: HybridBlock) -> Dict[str, str]:
    """Returns {our name: torchvision's} of every weight."""
    beginnings, names = CATALOGUE[name].names, {}
    for ours in model._collect_params_with_prefix():
        matching = [beginning for beginning in beginnings if ours.startswith(beginning)]
        if matching:  # torchvision has the pixels' mean and deviation as constants
            longest = max(matching, key=len)
            names[ours] = beginnings[longest] + torch_name(ours)[len(longest) :]
    return names


def _background_rows(theirs: str) -> int:
    """Returns how many rows of one of torchvision's arrays are the background's."""
    backgrounds = MODELS["maskrcnn_resnet50_fpn"].rows.items()
    return sum(count for beginning, count in backgrounds if theirs.startswith(beginning))
