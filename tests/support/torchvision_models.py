"""Two of torchvision's detectors, and the shapes of their weights."""

import mxnet as mx
import numpy as np

import detkit.converters.torchvision as converter
from detkit.build import build_model
from detkit.converters.recipes import load_recipe

SMALL = "fasterrcnn_mobilenet_v3_large_320_fpn"
DENSE = "retinanet_resnet50_fpn"
IMAGE = np.random.RandomState(0).randint(0, 256, (60, 90, 3)).astype("uint8")


def shapes_of(name, labels):
    """{torchvision's name: shape} of a model with so many labels."""
    config = load_recipe(name)
    classes = [str(label) for label in range(converter.MODELS[name].first_label, labels)]
    model = build_model(config, classes, mx.cpu(), pretrained=False)
    parameters = model._collect_params_with_prefix()
    names = converter.torchvision_names(name, model)
    shapes = {theirs: tuple(parameters[ours].shape) for ours, theirs in names.items()}
    for key in shapes:
        for beginning, rows in converter.MODELS[name].rows.items():
            if key.startswith(beginning):
                shapes[key] = (shapes[key][0] + rows, *shapes[key][1:])
    return shapes
