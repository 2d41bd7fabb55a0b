"""Caffe2's names of weights -> torchvision's, for the classifiers that Detectron starts from.

Detectron's ImageNetPretrained/MSRA/R-50.pkl and its kin were converted from Caffe. A batch norm in
them is an affine layer, whose scale and shift contain the statistics.
"""

import re
from typing import Dict, Iterable, Mapping

import numpy as np

from detkit.errors import WeightsError

CAFFE2_ORDER = "BGR"  # of the channels that Detectron's networks were trained on
NORM_EPS = 1e-5  # the default of a ResNet's norm_eps
FIRST = ("conv1_w", "conv1_1_w")  # the first layer of a ResNet, of a VGG

RESNET = re.compile(
    r"(?:(?P<stem>(?:res_)?conv1)|res(?P<stage>[2-5])_(?P<block>\d{1,3})_branch(?P<branch>1|2[abc]))"
    r"_(?:(?P<norm>bn|gn)_(?P<of_norm>s|b|rm|riv)|(?P<of_conv>w|b))"
)
VGG = re.compile(r"conv(?P<stage>[1-5])_(?P<step>[1-4])_(?P<kind>w|b)")
DENSE = re.compile(r"(?P<layer>fc6|fc7|fc8|fc1000)_(?P<kind>w|b)")
LAYERS = {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6", "fc1000": "fc"}
KINDS = {"w": "weight", "s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}


def is_caffe2(names: Iterable[str]) -> bool:
    """Returns whether these are Caffe2's names of the weights of a ResNet or a VGG."""
    return not set(FIRST).isdisjoint(names)


def from_caffe2(blobs: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """Returns the weights of a ResNet, a ResNeXt or a VGG under torchvision's names.

    An affine layer becomes a batch norm of mean 0 and variance 1 - NORM_EPS, which does the same.
    Momenta are left out, and so are biases of 0 before an affine layer. Unknown names stay as they
    are.

    Raises WeightsError for a weight that is no array of floats, and if two have the same name.
    """
    names = {**_resnet_names(blobs), **_vgg_names(blobs)}
    weights: Dict[str, np.ndarray] = {}
    for blob, array in blobs.items():
        if blob.endswith("_momentum") or (_is_before_a_norm(blob) and not array.any()):
            continue
        name = names.get(blob, blob)
        if blob in names and array.dtype.kind != "f":
            raise WeightsError(f"{blob!r}: expected an array of floats, found {array.dtype}")
        if name in weights:
            raise WeightsError(f"{blob!r}: expected one array for {name!r}, found two")
        weights[name] = array
    for blob in blobs:
        match = RESNET.fullmatch(blob)
        if match and match["norm"] == "bn" and match["of_norm"] == "s":
            name = names[blob].rpartition(".")[0]
            weights.setdefault(f"{name}.running_mean", np.zeros_like(blobs[blob]))
            weights.setdefault(f"{name}.running_var", np.full_like(blobs[blob], 1 - NORM_EPS))
    return weights


def _is_before_a_norm(blob: str) -> bool:
    """Returns whether it is the bias of a ResNet's convolution, which Detectron does not use."""
    match = RESNET.fullmatch(blob)
    return match is not None and match["of_conv"] == "b"


def _resnet_names(blobs: Iterable[str]) -> Dict[str, str]:
    """Returns {Caffe2's name: torchvision's} of the weights of a ResNet."""
    names = {}
    for match in filter(None, map(RESNET.fullmatch, blobs)):
        layer = "bn" if match["norm"] else "conv"
        if match["stem"]:
            place = f"{layer}1"
        else:
            place = f"layer{int(match['stage']) - 1}.{int(match['block'])}."
            if match["branch"] == "1":
                place += f"downsample.{1 if match['norm'] else 0}"
            else:
                place += f"{layer}{1 + 'abc'.index(match['branch'][1])}"
        names[match[0]] = f"{place}.{KINDS[match['of_norm'] or match['of_conv']]}"
    return names


def _vgg_names(blobs: Iterable[str]) -> Dict[str, str]:
    """Returns {Caffe2's name: torchvision's} of a VGG, and of the dense layers of a classifier."""
    convolutions = [match for match in map(VGG.fullmatch, blobs) if match]
    order = sorted({(match["stage"], match["step"]) for match in convolutions})
    names = {}
    for match in convolutions:
        # Before a convolution, torchvision counts a ReLU after each and a pooling for each stage.
        number = 2 * order.index((match["stage"], match["step"])) + int(match["stage"]) - 1
        names[match[0]] = f"features.{number}.{KINDS[match['kind']]}"
    for match in filter(None, map(DENSE.fullmatch, blobs)):
        names[match[0]] = f"{LAYERS[match['layer']]}.{KINDS[match['kind']]}"
    return names
