"""GluonCV's detectors out of its weights: the same detections, by detkit's parts."""

import os
import re
from functools import partial
from pathlib import Path
from typing import Mapping, Optional, Sequence, Union

import numpy as np

from detkit.converters.coco_labels import COCO_CLASSES
from detkit.converters.recipes import known, load_recipe, make_detector, rows_of
from detkit.data.voc import VOC_CLASSES
from detkit.detector import Detector
from detkit.errors import WeightsError
from detkit.weights.params import read_params
from detkit.weights.published import find_weights

C4, FPN, MASK = "C4", "FPN", "FPN with masks"
MODELS = {
    "faster_rcnn_resnet50_v1b_voc": C4,
    "faster_rcnn_resnet50_v1b_coco": C4,
    "faster_rcnn_fpn_resnet50_v1b_coco": FPN,
    "mask_rcnn_fpn_resnet50_v1b_coco": MASK,
}
CLASS_LOGITS = "class_predictor.weight"
CLASSES = {len(names): names for names in (VOC_CLASSES, COCO_CLASSES)}

# What GluonCV keeps beside its weights: anchors, and constants of its training targets.
NO_WEIGHTS = re.compile(r"rpn\.anchor_generator\.|target_generator\.|sampler\.|mask_target\.")


def _in_symbol(found):
    """The name of a layer of a residual block in a network that was made a symbol."""
    stage, block, kind, number = found.groups()
    kind = {"bn": "batchnorm"}.get(kind, kind)
    return f"features.resnetv1b_layers{stage}_{kind}{3 * int(block) + int(number) - 1}_"


# Parts of a name, ours -> theirs, one after the other.
_HEADS = (
    (r"^roi_head\.classes\.", "class_predictor."),
    (r"^roi_head\.boxes\.", "box_predictor."),
)
_FPN = (
    (r"^backbone\.conv1\.", "features.resnetv1b_conv0_"),
    (r"^backbone\.bn1\.", "features.resnetv1b_batchnorm0_"),
    (r"^backbone\.layer(\d)\.(\d)\.(conv|bn)(\d)\.", _in_symbol),
    (r"^backbone\.layer(\d)\.0\.downsample\.0\.", r"features.resnetv1b_down\1_conv0_"),
    (r"^backbone\.layer(\d)\.0\.downsample\.1\.", r"features.resnetv1b_down\1_batchnorm0_"),
    (r"^neck\.inner_blocks\.(\d)\.0\.", lambda found: f"features.P{int(found[1]) + 2}_conv_lat_"),
    (r"^neck\.layer_blocks\.(\d)\.0\.", lambda found: f"features.P{int(found[1]) + 2}_conv1_"),
    (r"^neck\.p6\.", "features.P6_conv1_"),
    (r"^rpn_head\.conv\.", "rpn.rpn_head.conv1."),
    (r"^rpn_head\.objectness\.", "rpn.rpn_head.score."),
    (r"^rpn_head\.deltas\.", "rpn.rpn_head.loc."),
    *_HEADS,
)
_NAMES = {
    C4: (
        (r"^backbone\.conv1\.", "features.0."),
        (r"^backbone\.bn1\.", "features.1."),
        (r"^backbone\.layer(\d)\.", lambda found: f"features.{int(found[1]) + 3}."),
        (r"^rpn_head\.conv\.", "rpn.conv1."),
        (r"^rpn_head\.objectness\.", "rpn.score."),
        (r"^rpn_head\.deltas\.", "rpn.loc."),
        (r"^roi_head\.layer4\.", "top_features.0."),
        *_HEADS,
    ),
    # Between fully connected layers lies a ReLU, and before those of the masks' model a pooling.
    FPN: (*_FPN, (r"^roi_head\.fc\.(\d)\.", lambda found: f"box_features.{2 * int(found[1])}.")),
    MASK: (
        *_FPN,
        (r"^roi_head\.fc\.(\d)\.", lambda found: f"box_features.{2 * int(found[1]) + 1}."),
        (r"^mask_head\.convs\.(\d)\.0\.", lambda found: f"mask.deconv.{2 * int(found[1])}."),
        (r"^mask_head\.deconv\.", "mask.deconv.8."),
        (r"^mask_head\.masks\.", "mask.mask."),
    ),
}


def from_gluoncv(
    name: str,
    params: Union[str, Path, Mapping[str, np.ndarray]],
    class_names: Optional[Sequence[str]] = None,
    device: str = "auto",
) -> Detector:
    """The Detector that gives what GluonCV's model ``name`` gives with the weights ``params``.

    name: one of MODELS, GluonCV's names.
    params: the path or URL (see find_weights) of a file that ``save_parameters`` wrote, or {name:
        array} under the names of the network's ``_collect_params_with_prefix()``.
    class_names: one for each class; by default VOC's for 20 classes, COCO's for 80.
    device: as for detkit.load.

    Boxes are as the network gives them, not cut at the image's border, and as in GluonCV there is
    no limit to their number where there are no masks. Images are best given one by one: GluonCV's
    networks take no others, and where one is padded to the size of another its features change.
    In two ways the Detector does not do as GluonCV 0.10: it finds nothing in the rows (-1, -1, -1,
    -1) by which GluonCV fills up an image's proposals; and on a CPU, GluonCV's pooling from several
    levels leaves memory as it was (MXNet's ROIAlign of an image -1), and here it does not.

    Raises WeightsError where a weight is missing, superfluous or of another shape.
    """
    config = load_recipe(known(name, MODELS))
    if isinstance(params, (str, os.PathLike)):
        params = read_params(find_weights(params))
    state = {key: np.asarray(array) for key, array in params.items() if not NO_WEIGHTS.match(key)}
    class_names = _class_names(name, state, class_names)
    return make_detector(config, class_names, state, partial(gluoncv_names, name), device)


def gluoncv_names(name, model):
    """{our name: GluonCV's} of every weight of the ``model`` that stands for ``name``."""
    names = {}
    for ours in model._collect_params_with_prefix():
        theirs = ours
        for part, replacement in _NAMES[MODELS[name]]:
            theirs = re.sub(part, replacement, theirs)
        if theirs != ours:
            names[ours] = theirs
    return names


def _class_names(name, state, given):
    """One for each class that ``state`` has logits of, the background left out."""
    count = rows_of(name, CLASS_LOGITS, state) - 1
    if given is None:
        return CLASSES.get(count) or tuple(str(label) for label in range(count))
    if len(given) != count:
        raise WeightsError(f"{len(given)} class_names for {count} classes: one for each")
    return tuple(given)
