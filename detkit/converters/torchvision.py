"""torchvision's detectors out of its weights: the same detections, by detkit's parts."""

import os
import re
from functools import partial
from pathlib import Path
from typing import Dict, Mapping, NamedTuple, Optional, Sequence, Union

import numpy as np

from detkit.converters.coco_labels import COCO_LABELS
from detkit.converters.recipes import known, load_recipe, make_detector, rows_of
from detkit.detector import Detector
from detkit.errors import WeightsError
from detkit.naming import torch_name
from detkit.weights.pth import read_pth
from detkit.weights.published import find_weights

# Names of files written before torchvision 0.13, and what takes their place.
_OLD_NAMES = (
    (r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(?=[wb])", r"\1.0."),
    (r"^rpn\.head\.conv\.(?=[wb])", "rpn.head.conv.0.0."),
    *(
        (rf"^roi_heads\.mask_head\.mask_fcn{n + 1}\.", f"roi_heads.mask_head.{n}.0.")
        for n in range(4)
    ),
    *(  # ReLUs between the convolutions were counted too
        (rf"^(head\.\w+_head\.conv)\.{2 * n}\.(?=[wb])", rf"\1.{n}.0.") for n in range(4)
    ),
)

# Beginnings of names, ours -> torchvision's.
_RESNET = {"backbone.": "backbone.body."}
_MOBILENET = {"backbone.features.": "backbone.body."}
_FPN = {"neck.": "backbone.fpn."}
_RPN = {
    "rpn_head.conv.0.": "rpn.head.conv.0.0.",
    "rpn_head.conv.1.": "rpn.head.conv.1.0.",
    "rpn_head.objectness.": "rpn.head.cls_logits.",
    "rpn_head.deltas.": "rpn.head.bbox_pred.",
}
_PREDICTOR = {
    "roi_head.classes.": "roi_heads.box_predictor.cls_score.",
    "roi_head.boxes.": "roi_heads.box_predictor.bbox_pred.",
}
_TWO_FC = {
    "roi_head.fc.0.": "roi_heads.box_head.fc6.",
    "roi_head.fc.1.": "roi_heads.box_head.fc7.",
}
_CONV_FC = {"roi_head.convs.": "roi_heads.box_head.", "roi_head.fc.0.": "roi_heads.box_head.5."}
_MASKS = {
    "mask_head.convs.": "roi_heads.mask_head.",
    "mask_head.deconv.": "roi_heads.mask_predictor.conv5_mask.",
    "mask_head.masks.": "roi_heads.mask_predictor.mask_fcn_logits.",
}
_P6P7 = {
    "neck.p6.": "backbone.fpn.extra_blocks.p6.",
    "neck.p7.": "backbone.fpn.extra_blocks.p7.",
}
_DENSE = {
    "head.class_convs.": "head.classification_head.conv.",
    "head.classes.": "head.classification_head.cls_logits.",
    "head.box_convs.": "head.regression_head.conv.",
    "head.deltas.": "head.regression_head.bbox_reg.",
}


class _Model(NamedTuple):
    """What sets one of torchvision's models apart.

    names: the beginnings of its names, ours -> torchvision's.
    frozen_eps: see _norm_eps.
    class_logits: its array with one row for each label, the background's first.
    anchors: how many times each label has a row there.
    first_label: that of our first class; 0 where the background can be detected.
    background: {beginning of names: how many rows are the background's}: the first, which nobody
        reads and which are not ours.
    """

    names: Dict[str, str]
    frozen_eps: float
    class_logits: str = "roi_heads.box_predictor.cls_score.weight"
    anchors: int = 1
    first_label: int = 1
    background: Mapping[str, int] = {
        "roi_heads.box_predictor.bbox_pred.": 4,
        "roi_heads.mask_predictor.mask_fcn_logits.": 1,
    }


def _retinanet(frozen_eps):
    return _Model(
        {**_RESNET, **_FPN, **_P6P7, **_DENSE},
        frozen_eps,
        class_logits="head.classification_head.cls_logits.weight",
        anchors=9,
        first_label=0,
    )


MODELS = {
    "fasterrcnn_resnet50_fpn": _Model({**_RESNET, **_FPN, **_RPN, **_TWO_FC, **_PREDICTOR}, 0.0),
    "fasterrcnn_resnet50_fpn_v2": _Model(
        {**_RESNET, **_FPN, **_RPN, **_CONV_FC, **_PREDICTOR}, 1e-5
    ),
    "fasterrcnn_mobilenet_v3_large_fpn": _Model(
        {**_MOBILENET, **_FPN, **_RPN, **_TWO_FC, **_PREDICTOR}, 1e-5
    ),
    "fasterrcnn_mobilenet_v3_large_320_fpn": _Model(
        {**_MOBILENET, **_FPN, **_RPN, **_TWO_FC, **_PREDICTOR}, 1e-5
    ),
    "maskrcnn_resnet50_fpn": _Model(
        {**_RESNET, **_FPN, **_RPN, **_TWO_FC, **_PREDICTOR, **_MASKS}, 0.0
    ),
    "maskrcnn_resnet50_fpn_v2": _Model(
        {**_RESNET, **_FPN, **_RPN, **_CONV_FC, **_PREDICTOR, **_MASKS}, 1e-5
    ),
    "retinanet_resnet50_fpn": _retinanet(0.0),
    "retinanet_resnet50_fpn_v2": _retinanet(1e-5),
}


def from_torchvision(
    name: str,
    state: Union[str, Path, Mapping[str, np.ndarray], None] = None,
    class_names: Optional[Sequence[str]] = None,
    norm_eps: Optional[float] = None,
    device: str = "auto",
) -> Detector:
    """The Detector that gives what torchvision's model ``name`` gives with the weights ``state``.

    name: one of MODELS, torchvision's names.
    state: the names and arrays of its state_dict, or where they are: a path, a URL, a published
        name (see find_weights); by default what torchvision publishes for ``name``.
    class_names: the names of labels 0 (the background), 1, 2, ...; by default COCO's for 91 labels.
    norm_eps: what the backbone's batch norms add to their variances, where torchvision's default
        was changed (see _norm_eps).
    device: as for detkit.load.

    Labels of its Detections are torchvision's: 1 is the first class, and class_names[label] its
    name. A RetinaNet can find the background, 0, as in torchvision.

    Raises WeightsError where a weight is missing, superfluous or of another shape.
    """
    config, model = load_recipe(known(name, MODELS)), MODELS[name]
    if state is None or isinstance(state, (str, os.PathLike)):
        state = read_pth(find_weights(name if state is None else state))
    state = _current_names({key: np.asarray(array) for key, array in state.items()})
    class_names = _class_names(name, state, class_names)
    eps = _norm_eps(model, state) if norm_eps is None else norm_eps
    config["model"]["backbone"].put("norm_eps", eps, "from_torchvision")
    names_of = partial(torchvision_names, name)
    weights = _foreground(name, state)
    return make_detector(config, class_names, weights, names_of, device, model.first_label)


def torchvision_names(name, model):
    """{our name: torchvision's} of every weight of the ``model`` that stands for ``name``."""
    names = {}
    for ours in model._collect_params_with_prefix():
        for beginning, theirs in MODELS[name].names.items():
            if ours.startswith(beginning):
                names[ours] = theirs + torch_name(ours)[len(beginning) :]
    return names


def _foreground(model, state):
    """The state without the background's rows."""
    rows = {
        name: array[count:]
        for beginning, count in MODELS[model].background.items()
        for name, array in state.items()
        if name.startswith(beginning)
    }
    return {**state, **rows}


def _current_names(state):
    """The state under today's names."""
    current = {}
    for name, array in state.items():
        for old, new in _OLD_NAMES:
            name = re.sub(old, new, name)
        current[name] = array
    return current


def _norm_eps(model, state):
    """What the backbone's batch norms add to their variances.

    A state with num_batches_tracked is of a network with ordinary batch norms: 1e-5. One without is
    of frozen ones, as torchvision publishes its first detectors; it gives these 0 (its
    overwrite_eps), because they were trained so.
    """
    ordinary = any(name.endswith("num_batches_tracked") for name in state)
    return 1e-5 if ordinary else model.frozen_eps


def _class_names(name, state, given):
    """As many names as the state has class logits, the background's first."""
    count = rows_of(name, MODELS[name].class_logits, state) // MODELS[name].anchors
    if given is None:
        numbers = ("__background__", *(str(label) for label in range(1, count)))
        return COCO_LABELS if count == len(COCO_LABELS) else numbers
    if len(given) != count:
        raise WeightsError(
            f"{len(given)} class_names for {count} class logits: one for each, the background's "
            "first"
        )
    return tuple(given)
