"""The converter of torchvision's weights: a Detector that makes the same detections."""

import re
from functools import partial
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

from mxnet.gluon import HybridBlock

from detkit.converters.recipes import (
    State,
    Weights,
    class_names_of,
    known,
    load_recipe,
    make_detector,
    rows_of,
    state_of,
)
from detkit.detections.coco_labels import COCO_LABELS
from detkit.detector import Detector
from detkit.errors import WeightsError
from detkit.naming import torch_name
from detkit.weights.load import read_weights

CONTIGUOUS, OWN = "contiguous", "torchvision"  # numbers of the classes
NO_CLASS = "N/A"  # the name of a number that no class has

# Names in files written before torchvision 0.13, and their replacements.
_OLD_NAMES = (
    (r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(?=[wb])", r"\1.0."),
    (r"^rpn\.head\.conv\.(?=[wb])", "rpn.head.conv.0.0."),
    *(
        (rf"^roi_heads\.mask_head\.mask_fcn{n + 1}\.", f"roi_heads.mask_head.{n}.0.")
        for n in range(4)
    ),
    *(  # the ReLUs between the convolutions were counted, too
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
_KEYPOINTS = {
    # The ReLUs between the convolutions are counted, too.
    **{f"keypoint_head.convs.{n}.0.": f"roi_heads.keypoint_head.{2 * n}." for n in range(8)},
    "keypoint_head.heatmaps.": "roi_heads.keypoint_predictor.kps_score_lowres.",
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
    """The description of one of torchvision's models.

    names: the beginnings of its names, ours -> torchvision's.
    frozen_eps: see _norm_eps.
    class_logits: the name of the array with a row for each label, the background's row first.
    anchors: the number of anchors at a cell, each with such rows in the array.
    first_label: the label of our first class; 0 if the model can detect the background.
    labels: the names of the labels that torchvision's weights have.
    rows: {beginning of names: rows of each label} of the other arrays with rows for each label. The
        background's are never used, and our arrays do not have them.
    """

    names: Dict[str, str]
    frozen_eps: float
    class_logits: str = "roi_heads.box_predictor.cls_score.weight"
    anchors: int = 1
    first_label: int = 1
    labels: Sequence[str] = COCO_LABELS
    rows: Mapping[str, int] = {
        "roi_heads.box_predictor.bbox_pred.": 4,
        "roi_heads.mask_predictor.mask_fcn_logits.": 1,
    }


def _retinanet(frozen_eps: float) -> _Model:
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
    "keypointrcnn_resnet50_fpn": _Model(
        {**_RESNET, **_FPN, **_RPN, **_TWO_FC, **_PREDICTOR, **_KEYPOINTS},
        0.0,
        labels=COCO_LABELS[:2],  # the background and person
    ),
    "retinanet_resnet50_fpn": _retinanet(0.0),
    "retinanet_resnet50_fpn_v2": _retinanet(1e-5),
}


def from_torchvision(
    name: str,
    state: Optional[Weights] = None,
    class_names: Optional[Sequence[str]] = None,
    norm_eps: Optional[float] = None,
    device: str = "auto",
    labels: str = CONTIGUOUS,
) -> Detector:
    """Returns a Detector that detects what torchvision's model ``name`` does with ``state``.

    name: one of MODELS, torchvision's names.
    state: {name: array} as in its state_dict, or a path, a URL or a published name (see
        find_weights); by default the weights that torchvision publishes for ``name``.
    class_names: the names of torchvision's labels 0 (the background), 1, 2, ...; "N/A" for a number
        that is no class. By default those of the weights that torchvision publishes, if there are
        as many labels, else numbers.
    norm_eps: the number that the backbone's batch norms add to their variances, if it is not
        torchvision's default (see _norm_eps).
    device: see detkit.load.
    labels: "contiguous" numbers the classes 0, 1, 2, ..., as every other detector here does: COCO's
        80 are 0 to 79. "torchvision" keeps torchvision's numbers: 1 is the first class, COCO's are
        1 to 90 with gaps, and a RetinaNet can detect the background, 0.

    The softmax of "contiguous" has no terms for the numbers that are no classes, and every score
    grows by their share.

    Raises WeightsError if a weight is missing, superfluous or of another shape.
    """
    config, model = load_recipe(known(name, MODELS)), MODELS[name]
    arrays = _current_names(state_of(name if state is None else state, read_weights))
    count = rows_of(name, model.class_logits, arrays) // model.anchors
    names = class_names_of(count, class_names, [model.labels], background=True)
    eps = _norm_eps(model, arrays) if norm_eps is None else norm_eps
    config["model"]["backbone"].put("norm_eps", eps, "from_torchvision")
    names_of = partial(torchvision_names, name)
    kept = _kept(model, names, labels)
    weights = _of_labels(model, arrays, kept, count)
    if labels == OWN:
        return make_detector(config, names, weights, names_of, device, model.first_label)
    return make_detector(config, [names[label] for label in kept], weights, names_of, device)


def torchvision_names(name: str, model: HybridBlock) -> Dict[str, str]:
    """Returns {our name: torchvision's} of every weight of ``model``, our version of ``name``."""
    names = {}
    for ours in model._collect_params_with_prefix():
        for beginning, theirs in MODELS[name].names.items():
            if ours.startswith(beginning):
                names[ours] = theirs + torch_name(ours)[len(beginning) :]
    return names


def _kept(model: _Model, names: Sequence[str], labels: str) -> List[int]:
    """Returns torchvision's labels that the Detector can detect, in their order."""
    if labels not in (CONTIGUOUS, OWN):
        raise WeightsError(f"labels: expected {CONTIGUOUS!r} or {OWN!r}, found {labels!r}")
    if labels == OWN:
        return [*range(model.first_label, len(names))]
    return [label for label in range(1, len(names)) if names[label] != NO_CLASS]


def _of_labels(model: _Model, state: State, kept: Sequence[int], count: int) -> State:
    """Returns the state with the rows of the labels ``kept`` alone, among ``count`` labels.

    The class logits of a two-stage detector keep the background's, which softmax needs. Arrays of
    an unexpected length stay as they are, so that load_weights reports them.
    """
    logits, _, _ = model.class_logits.rpartition("weight")
    scored = [*range(model.first_label), *kept]
    rows = {logits: [anchor * count + n for anchor in range(model.anchors) for n in scored]}
    lengths = {logits: model.anchors * count}
    for beginning, each in model.rows.items():
        rows[beginning] = [label * each + row for label in kept for row in range(each)]
        lengths[beginning] = each * count
    current = dict(state)
    for name, array in state.items():
        beginning = name.rpartition(".")[0] + "."
        if array.shape[:1] == (lengths.get(beginning),):
            current[name] = array[rows[beginning]]
    return current


def _current_names(state: State) -> State:
    """Returns the state under the names of torchvision 0.13 and later."""
    current = {}
    for name, array in state.items():
        for old, new in _OLD_NAMES:
            name = re.sub(old, new, name)
        current[name] = array
    return current


def _norm_eps(model: _Model, state: State) -> float:
    """Returns the number that the backbone's batch norms add to their variances.

    A state with num_batches_tracked belongs to a network with ordinary batch norms, which add 1e-5.
    A state without belongs to one with frozen batch norms. torchvision publishes its first
    detectors in this way and sets the number to 0 (overwrite_eps), because they were trained so.
    """
    ordinary = any(name.endswith("num_batches_tracked") for name in state)
    return 1e-5 if ordinary else model.frozen_eps
