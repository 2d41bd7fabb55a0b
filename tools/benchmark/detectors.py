"""The detectors that are measured, as detkit builds them and as torchvision names their weights."""

from pathlib import Path
from typing import Dict, NamedTuple

import drawn

from detkit.build import build_model
from detkit.config import load_config
from detkit.converters.coco_labels import COCO_LABELS
from detkit.converters.recipes import make_detector
from detkit.converters.torchvision import MODELS
from detkit.device import find_device
from detkit.naming import torch_name

FOLDER = Path(__file__).parent
BACKGROUND = 1  # the first label of a class; of torchvision's rows, those before it are not ours
_FPN = MODELS["fasterrcnn_resnet50_fpn"]


class Measured(NamedTuple):
    """A detector: its config in this folder, and beginnings of names, ours -> torchvision's."""

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
}


def config_of(name):
    return load_config(FOLDER / CATALOGUE[name].config)


def draw_state(name):
    """{torchvision's name: array} of a detector: its state_dict, weights drawn."""
    model = build_model(config_of(name), COCO_LABELS[BACKGROUND:], find_device("cpu"), False)
    parameters = model._collect_params_with_prefix()
    state = {}
    for ours, theirs in names_of(name, model).items():
        rows, *rest = parameters[ours].shape
        state[theirs] = drawn.weight(theirs, (rows + _unread(theirs), *rest))
    return state


def build(name, state):
    """The detkit Detector that has the weights of a state."""
    ours = {theirs: array[_unread(theirs) :] for theirs, array in state.items()}
    return make_detector(
        config_of(name), COCO_LABELS, ours, lambda model: names_of(name, model), "cpu", BACKGROUND
    )


def names_of(name, model):
    """{our name: torchvision's} of every weight."""
    beginnings, names = CATALOGUE[name].names, {}
    for ours in model._collect_params_with_prefix():
        matching = [each for each in beginnings if ours.startswith(each)]
        if matching:  # the pixels' mean and deviation are constants of torchvision's
            longest = max(matching, key=len)
            names[ours] = beginnings[longest] + torch_name(ours)[len(longest) :]
    return names


def _unread(theirs):
    """How many rows of one of torchvision's arrays are the background's, which nobody reads."""
    backgrounds = MODELS["maskrcnn_resnet50_fpn"].background.items()
    return sum(count for beginning, count in backgrounds if theirs.startswith(beginning))
