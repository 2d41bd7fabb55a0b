"""Detectron2's detectors out of its weights: the same detections, by detkit's parts."""

import os
import re
from pathlib import Path
from typing import Mapping, Optional, Sequence, Union

import numpy as np
from mxnet import gluon

from detkit.converters.coco_labels import COCO_CLASSES
from detkit.converters.recipes import known, load_recipe, make_detector, rows_of
from detkit.detector import Detector
from detkit.errors import WeightsError
from detkit.naming import torch_name
from detkit.weights.load import read_weights
from detkit.weights.published import find_weights

# Names in Detectron2's model zoo -> the recipe. A schedule (1x, 3x) does not show in a network.
MODELS = {
    f"{model}_{schedule}": model
    for model, schedules in {
        "faster_rcnn_R_50_C4": ("1x", "3x"),
        "faster_rcnn_R_50_FPN": ("1x", "3x"),
        "faster_rcnn_R_101_C4": ("3x",),
        "faster_rcnn_R_101_FPN": ("3x",),
        "mask_rcnn_R_50_FPN": ("1x", "3x"),
        "mask_rcnn_R_101_FPN": ("3x",),
    }.items()
    for schedule in schedules
}
CLASS_LOGITS = "roi_heads.box_predictor.cls_score."
RPN = "proposal_generator.rpn_head."
ANCHORS = "proposal_generator.anchor_generator.cell_anchors."
PIXELS = ("pixel_mean", "pixel_std")

# Parts of a name, ours -> theirs, one after the other.
_NAMES = (
    (r"^backbone\.(conv1|bn1)\.", r"backbone.stem.\1."),
    (r"^roi_head\.layer4\.", "roi_heads.res5."),
    (r"^backbone\.layer(\d)\.", lambda found: f"backbone.res{int(found[1]) + 1}."),
    (r"\.bn(\d)\.", r".conv\1.norm."),
    (r"\.downsample\.0\.", ".shortcut."),
    (r"\.downsample\.1\.", ".shortcut.norm."),
    (r"^neck\.inner_blocks\.(\d)\.0\.", lambda found: f"backbone.fpn_lateral{int(found[1]) + 2}."),
    (r"^neck\.layer_blocks\.(\d)\.0\.", lambda found: f"backbone.fpn_output{int(found[1]) + 2}."),
    (r"^rpn_head\.conv\.0\.", RPN + "conv."),
    (r"^rpn_head\.objectness\.", RPN + "objectness_logits."),
    (r"^rpn_head\.deltas\.", RPN + "anchor_deltas."),
    (r"^roi_head\.fc\.(\d)\.", lambda found: f"roi_heads.box_head.fc{int(found[1]) + 1}."),
    (r"^roi_head\.classes\.", CLASS_LOGITS),
    (r"^roi_head\.boxes\.", "roi_heads.box_predictor.bbox_pred."),
    (
        r"^mask_head\.convs\.(\d)\.0\.",
        lambda found: f"roi_heads.mask_head.mask_fcn{int(found[1]) + 1}.",
    ),
    (r"^mask_head\.deconv\.", "roi_heads.mask_head.deconv."),
    (r"^mask_head\.masks\.", "roi_heads.mask_head.predictor."),
)


def from_detectron2(
    name: str,
    pkl: Union[str, Path, Mapping[str, np.ndarray]],
    class_names: Optional[Sequence[str]] = None,
    device: str = "auto",
) -> Detector:
    """The Detector that gives what Detectron2's model ``name`` gives with the weights ``pkl``.

    name: one of MODELS, Detectron2's names.
    pkl: {name: array}, or the path or URL (see find_weights) of a model_final_*.pkl, or of a
        model_final.pth as Detectron2's trainer writes it.
    class_names: one for each class; by default COCO's for 80 classes.
    device: as for detkit.load.

    Raises WeightsError where a weight is missing, superfluous or of another shape, and where the
    file says of pixels or anchors what the model does not.
    """
    config = load_recipe(MODELS[known(name, MODELS)])
    if isinstance(pkl, (str, os.PathLike)):
        pkl = read_weights(find_weights(pkl))
    state = {key: np.asarray(array) for key, array in pkl.items()}
    class_names = _class_names(name, state, class_names)
    state = _ours(_without_buffers(state, config["model"]), config["model"]["anchors"])
    return make_detector(config, class_names, state, detectron2_names, device)


def detectron2_names(model):
    """{our name: Detectron2's} of every weight of ``model``."""
    with_neck = model.neck is not None
    names = {}
    for ours, parameter in model._collect_params_with_prefix().items():
        if isinstance(parameter, gluon.Constant):
            continue
        theirs = torch_name(ours)
        for pattern, replacement in _NAMES:
            theirs = re.sub(pattern, replacement, theirs)
        if with_neck:  # theirs stands around the ResNet
            theirs = re.sub(r"^backbone\.(stem|res)", r"backbone.bottom_up.\1", theirs)
        names[ours] = theirs
    return names


def _class_names(name, state, given):
    """One for each class logit but the background's."""
    count = rows_of(name, CLASS_LOGITS + "weight", state) - 1
    if given is None:
        numbers = tuple(str(label) for label in range(count))
        return COCO_CLASSES if count == len(COCO_CLASSES) else numbers
    if len(given) != count:
        raise WeightsError(
            f"{len(given)} class_names for {count} classes: the file has {count + 1} class logits, "
            "the background's among them"
        )
    return tuple(given)


def _without_buffers(state, model):
    """The weights alone: what else a file may hold is what the recipe says too."""
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
        found = np.ravel(state.get(name, values))
        if found.shape != np.ravel(values).shape or not np.allclose(found, np.ravel(values)):
            raise WeightsError(
                f"{name} is {found.tolist()} in the file, and the model has "
                f"{np.ravel(values).tolist()}: the file is of a model that was configured otherwise"
            )
    return {name: array for name, array in state.items() if name not in expected}


def _ours(state, anchors):
    """The state in our order of classes and anchors.

    Their background is the last class, ours the first; at a cell their anchors change in ratio
    first, ours in size. Arrays of another length stay as they are, to be reported.
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
