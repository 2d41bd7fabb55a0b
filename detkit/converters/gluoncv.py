"""The converter of GluonCV's weights: a Detector that makes the same detections."""

import re
from functools import partial
from typing import Dict, Match, Optional, Sequence, Tuple

from mxnet.gluon import HybridBlock

from detkit.converters.recipes import (
    Replacement,
    Weights,
    class_names_of,
    known,
    load_recipe,
    make_detector,
    rows_of,
    state_of,
)
from detkit.data.readers.voc import VOC_CLASSES
from detkit.detections.coco_labels import COCO_CLASSES
from detkit.detector import Detector
from detkit.files.params import read_params

C4, FPN, MASK = "C4", "FPN", "FPN with masks"
MODELS = {
    "faster_rcnn_resnet50_v1b_voc": C4,
    "faster_rcnn_resnet50_v1b_coco": C4,
    "faster_rcnn_fpn_resnet50_v1b_coco": FPN,
    "mask_rcnn_fpn_resnet50_v1b_coco": MASK,
}
CLASS_LOGITS = "class_predictor.weight"

# Names of constants that GluonCV saves beside the weights: anchors and training targets.
NO_WEIGHTS = re.compile(r"rpn\.anchor_generator\.|target_generator\.|sampler\.|mask_target\.")


Names = Sequence[Tuple[str, Replacement]]


def _in_symbol(match: Match) -> str:
    """Returns the name of a layer of a residual block in GluonCV's networks made of a symbol."""
    stage, block, kind, number = match.groups()
    kind = {"bn": "batchnorm"}.get(kind, kind)
    return f"features.resnetv1b_layers{stage}_{kind}{3 * int(block) + int(number) - 1}_"


# Patterns of our names and their replacements, applied one after the other.
_HEADS: Names = (
    (r"^roi_head\.classes\.", "class_predictor."),
    (r"^roi_head\.boxes\.", "box_predictor."),
)
_FPN: Names = (
    (r"^backbone\.conv1\.", "features.resnetv1b_conv0_"),
    (r"^backbone\.bn1\.", "features.resnetv1b_batchnorm0_"),
    (r"^backbone\.layer(\d)\.(\d)\.(conv|bn)(\d)\.", _in_symbol),
    (r"^backbone\.layer(\d)\.0\.downsample\.0\.", r"features.resnetv1b_down\1_conv0_"),
    (r"^backbone\.layer(\d)\.0\.downsample\.1\.", r"features.resnetv1b_down\1_batchnorm0_"),
    (r"^neck\.inner_blocks\.(\d)\.0\.", lambda match: f"features.P{int(match[1]) + 2}_conv_lat_"),
    (r"^neck\.layer_blocks\.(\d)\.0\.", lambda match: f"features.P{int(match[1]) + 2}_conv1_"),
    (r"^neck\.p6\.", "features.P6_conv1_"),
    (r"^rpn_head\.conv\.", "rpn.rpn_head.conv1."),
    (r"^rpn_head\.objectness\.", "rpn.rpn_head.score."),
    (r"^rpn_head\.deltas\.", "rpn.rpn_head.loc."),
    *_HEADS,
)
_NAMES: Dict[str, Names] = {
    C4: (
        (r"^backbone\.conv1\.", "features.0."),
        (r"^backbone\.bn1\.", "features.1."),
        (r"^backbone\.layer(\d)\.", lambda match: f"features.{int(match[1]) + 3}."),
        (r"^rpn_head\.conv\.", "rpn.conv1."),
        (r"^rpn_head\.objectness\.", "rpn.score."),
        (r"^rpn_head\.deltas\.", "rpn.loc."),
        (r"^roi_head\.layer4\.", "top_features.0."),
        *_HEADS,
    ),
    # GluonCV counts the ReLUs between the fully connected layers, and in MASK a pooling before.
    FPN: (*_FPN, (r"^roi_head\.fc\.(\d)\.", lambda match: f"box_features.{2 * int(match[1])}.")),
    MASK: (
        *_FPN,
        (r"^roi_head\.fc\.(\d)\.", lambda match: f"box_features.{2 * int(match[1]) + 1}."),
        (r"^mask_head\.convs\.(\d)\.0\.", lambda match: f"mask.deconv.{2 * int(match[1])}."),
        (r"^mask_head\.deconv\.", "mask.deconv.8."),
        (r"^mask_head\.masks\.", "mask.mask."),
    ),
}


def from_gluoncv(
    name: str,
    params: Weights,
    class_names: Optional[Sequence[str]] = None,
    device: str = "auto",
) -> Detector:
    """Returns a Detector that detects what GluonCV's model ``name`` does with ``params``.

    name: one of MODELS, GluonCV's names.
    params: the path or URL (see find_weights) of a file that ``save_parameters`` wrote, or {name:
        array} under the names of the network's ``_collect_params_with_prefix()``.
    class_names: a name for each class; by default VOC's for 20 classes, COCO's for 80, else
        numbers.
    device: see detkit.load.

    As in GluonCV, boxes are not clipped to the image, and without masks the number of detections is
    not limited. Images should be given one by one, because GluonCV's networks take no others and
    padding an image to the size of another changes its features.

    The Detector differs from GluonCV 0.10 in two points. It detects nothing in the rows (-1, -1,
    -1, -1) by which GluonCV pads the proposals of an image. On a CPU, GluonCV's pooling from
    several levels leaves memory uninitialised (MXNet's ROIAlign of image -1); detkit's does not.

    Raises WeightsError if a weight is missing, superfluous or of another shape.
    """
    config = load_recipe(known(name, MODELS))
    state = state_of(params, read_params)
    state = {key: array for key, array in state.items() if not NO_WEIGHTS.match(key)}
    count = rows_of(name, CLASS_LOGITS, state) - 1  # without the background
    class_names = class_names_of(count, class_names, [VOC_CLASSES, COCO_CLASSES])
    return make_detector(config, class_names, state, partial(gluoncv_names, name), device)


def gluoncv_names(name: str, model: HybridBlock) -> Dict[str, str]:
    """Returns {our name: GluonCV's} of every weight of ``model``, detkit's version of ``name``."""
    names = {}
    for ours in model._collect_params_with_prefix():
        theirs = ours
        for part, replacement in _NAMES[MODELS[name]]:
            theirs = re.sub(part, replacement, theirs)
        if theirs != ours:
            names[ours] = theirs
    return names
