"""The converter of Detectron2's weights: a Detector that makes the same detections."""

import re
from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np
from mxnet import gluon
from mxnet.gluon import HybridBlock

from detkit.converters.recipes import (
    Replacement,
    State,
    Weights,
    class_names_of,
    known,
    load_recipe,
    make_detector,
    rows_of,
    state_of,
)
from detkit.detections.coco_labels import COCO_CLASSES
from detkit.detector import Detector
from detkit.errors import WeightsError
from detkit.naming import torch_name
from detkit.weights.load import read_weights

# Names in Detectron2's model zoo -> the recipe. The schedule (1x, 3x) makes no other network.
MODELS = {
    f"{model}_{schedule}": model
    for model, schedules in {
        "faster_rcnn_R_50_C4": ("1x", "3x"),
        "faster_rcnn_R_50_FPN": ("1x", "3x"),
        "faster_rcnn_R_101_C4": ("3x",),
        "faster_rcnn_R_101_FPN": ("3x",),
        "mask_rcnn_R_50_C4": ("1x", "3x"),
        "mask_rcnn_R_50_FPN": ("1x", "3x"),
        "mask_rcnn_R_101_C4": ("3x",),
        "mask_rcnn_R_101_FPN": ("3x",),
        "keypoint_rcnn_R_50_FPN": ("1x", "3x"),
    }.items()
    for schedule in schedules
}
CLASS_LOGITS = "roi_heads.box_predictor.cls_score."
RPN = "proposal_generator.rpn_head."
ANCHORS = "proposal_generator.anchor_generator.cell_anchors."
PIXELS = ("pixel_mean", "pixel_std")

# Patterns of our names and their replacements, applied one after the other.
_NAMES: Sequence[Tuple[str, Replacement]] = (
    (r"^backbone\.(conv1|bn1)\.", r"backbone.stem.\1."),
    (r"^roi_head\.layer4\.", "roi_heads.res5."),
    (r"^backbone\.layer(\d)\.", lambda match: f"backbone.res{int(match[1]) + 1}."),
    (r"\.bn(\d)\.", r".conv\1.norm."),
    (r"\.downsample\.0\.", ".shortcut."),
    (r"\.downsample\.1\.", ".shortcut.norm."),
    (r"^neck\.inner_blocks\.(\d)\.0\.", lambda match: f"backbone.fpn_lateral{int(match[1]) + 2}."),
    (r"^neck\.layer_blocks\.(\d)\.0\.", lambda match: f"backbone.fpn_output{int(match[1]) + 2}."),
    (r"^rpn_head\.conv\.0\.", RPN + "conv."),
    (r"^rpn_head\.objectness\.", RPN + "objectness_logits."),
    (r"^rpn_head\.deltas\.", RPN + "anchor_deltas."),
    (r"^roi_head\.fc\.(\d)\.", lambda match: f"roi_heads.box_head.fc{int(match[1]) + 1}."),
    (r"^roi_head\.classes\.", CLASS_LOGITS),
    (r"^roi_head\.boxes\.", "roi_heads.box_predictor.bbox_pred."),
    (
        r"^mask_head\.convs\.(\d)\.0\.",
        lambda match: f"roi_heads.mask_head.mask_fcn{int(match[1]) + 1}.",
    ),
    (r"^mask_head\.deconv\.", "roi_heads.mask_head.deconv."),
    (r"^mask_head\.masks\.", "roi_heads.mask_head.predictor."),
    (
        r"^keypoint_head\.convs\.(\d)\.0\.",
        lambda match: f"roi_heads.keypoint_head.conv_fcn{int(match[1]) + 1}.",
    ),
    (r"^keypoint_head\.heatmaps\.", "roi_heads.keypoint_head.score_lowres."),
)


def from_detectron2(
    name: str,
    pkl: Weights,
    class_names: Optional[Sequence[str]] = None,
    device: str = "auto",
) -> Detector:
    """Returns a Detector that detects what Detectron2's model ``name`` does with ``pkl``.

    name: one of MODELS, Detectron2's names.
    pkl: {name: array}, or the path or URL (see find_weights) of a model_final_*.pkl, or of a
        model_final.pth as Detectron2's trainer writes it.
    class_names: a name for each class; by default COCO's for 80 classes, "person" for a Keypoint
        R-CNN of one, else numbers.
    device: see detkit.load.

    Raises WeightsError if a weight is missing, superfluous or of another shape, or if the
    normalisation or the anchors of the file differ from the model's.
    """
    config = load_recipe(MODELS[known(name, MODELS)])
    state = state_of(pkl, read_weights)
    count = rows_of(name, CLASS_LOGITS + "weight", state) - 1  # without the background
    published = COCO_CLASSES[:1] if name.startswith("keypoint") else COCO_CLASSES
    class_names = class_names_of(count, class_names, [published])
    state = reorder(_without_buffers(state, config["model"]), config["model"]["anchors"])
    return make_detector(config, class_names, state, detectron2_names, device)


def detectron2_names(model: HybridBlock) -> Dict[str, str]:
    """Returns {our name: Detectron2's} of every weight of ``model``."""
    with_neck = model.neck is not None
    names = {}
    for ours, parameter in model._collect_params_with_prefix().items():
        if isinstance(parameter, gluon.Constant):
            continue
        theirs = torch_name(ours)
        for pattern, replacement in _NAMES:
            theirs = re.sub(pattern, replacement, theirs)
        if with_neck:  # Detectron2's FPN contains the ResNet
            theirs = re.sub(r"^backbone\.(stem|res)", r"backbone.bottom_up.\1", theirs)
        names[ours] = theirs
    return names


def _without_buffers(state: State, model: Dict[str, Any]) -> State:
    """Returns the weights alone.

    A file may also hold the normalisation and the anchors. Raises WeightsError if they differ from
    ``model``, the recipe's section.
    """
    normalize = model["normalize"]
    expected = dict(zip(PIXELS, (normalize["mean"], normalize["std"])))
    sizes, ratios = model["anchors"]["sizes"], model["anchors"]["ratios"]
    for level, each in enumerate(sizes if isinstance(sizes[0], list) else [sizes]):
        expected[f"{ANCHORS}{level}"] = [
            (-size / root / 2, -size * root / 2, size / root / 2, size * root / 2)
            for size in each
            for root in np.sqrt(ratios)
        ]
    for name, values in expected.items():
        right, array = np.ravel(values), np.ravel(state.get(name, values))
        if array.shape != right.shape or not np.allclose(array, right):
            raise WeightsError(
                f"{name}: expected {right.tolist()}, which the model has, found {array.tolist()} "
                "in the file; the file is of a model with another configuration"
            )
    return {name: array for name, array in state.items() if name not in expected}


def reorder(state: State, anchors: Dict[str, Any]) -> State:
    """Returns the state in detkit's order of classes and anchors.

    Detectron2's background is the last class, detkit's the first. The anchors of a cell change in
    ratio first in Detectron2, in size first in detkit. Arrays of an unexpected length stay as they
    are, so that load_weights reports them.

    anchors: the recipe's section ``model.anchors``.
    """
    sizes, ratios = anchors["sizes"], anchors["ratios"]
    count = len(sizes[0]) if isinstance(sizes[0], list) else len(sizes)
    order = np.arange(count * len(ratios)).reshape(count, len(ratios)).T.ravel()
    rows = {
        RPN + "objectness_logits.": order,
        RPN + "anchor_deltas.": (order[:, None] * 4 + np.arange(4)).ravel(),
    }
    ours = {}
    for name, array in state.items():
        beginning, _, _ = name.rpartition(".")
        if f"{beginning}." == CLASS_LOGITS:
            array = np.roll(array, 1, axis=0)
        index = rows.get(f"{beginning}.")
        if index is not None and array.shape[:1] == index.shape:
            array = array[index]
        ours[name] = array
    return ours
