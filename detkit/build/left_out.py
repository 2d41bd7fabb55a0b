"""The training images that have nothing to train on, which ``data.filter`` leaves out."""

from typing import Any, Dict, Mapping, Optional

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from detkit.build.model import detector_of
from detkit.config import Config, place, require, section
from detkit.constants import CROWD, PADDING
from detkit.data.sample import Annotation, Dataset
from detkit.errors import ConfigError
from detkit.registry import ASSIGNERS
from detkit.wording import did_you_mean

OBJECTS, ROIS = "objects", "rois"


def find_left_out(
    config: Config, dataset: Dataset, proposals: Optional[Mapping[Any, np.ndarray]]
) -> Dict[int, str]:
    """Returns {index: reason} of the images of ``data.train`` that ``data.filter`` leaves out.

    "objects" leaves out images without an object, which an RPN is trained on as background alone.
    "rois" leaves out images without a RoI to train on, as py-faster-rcnn's ``filter_roidb`` does
    (lib/fast_rcnn/train.py): they have no object, and the assigner of ``train_step.roi_targets``
    finds none of their stored proposals positive or negative. An image with an object always has a
    RoI, the object's own box. Difficult objects do not count. Without the key, no image is left
    out.

    proposals: {image_id: boxes (R, 4)} of all images, or None.

    Raises the ConfigError of ``filter_of``.
    """
    rule = filter_of(config)
    if rule is None:
        return {}
    annotations = enumerate(map(dataset.annotation, range(len(dataset))))
    empty = {index: one for index, one in annotations if one.difficult.all()}
    if rule == OBJECTS:
        return dict.fromkeys(empty, "no object")
    node = require(require(section(config, "train_step"), "roi_targets", dict), "assigner", dict)
    assigner, known = ASSIGNERS.build(node), proposals or {}
    return {
        index: f"no object, and no proposal of {len(known[one.image_id])} is trained on"
        for index, one in empty.items()
        if not _is_trained_on(one, known[one.image_id], assigner)
    }


def filter_of(config: Config) -> Optional[str]:
    """Returns ``data.filter``; None without the key.

    Raises ConfigError for another value, and for "rois" if the detector makes its own proposals.
    """
    rule: Optional[str] = config["data"].get("filter")
    if rule is None:
        return None
    where = place(config["data"], "filter")
    if rule not in (OBJECTS, ROIS):
        hint = did_you_mean(rule, (OBJECTS, ROIS))
        raise ConfigError(f"{where}: expected {OBJECTS} or {ROIS}, found {rule!r}{hint}")
    if rule == ROIS and "proposals" not in detector_of(config).INPUTS:
        raise ConfigError(
            f"{where}: expected {OBJECTS}, because the detector {config['model']['type']!r} makes "
            f"its own proposals, of which nothing is known before, found {ROIS!r}"
        )
    return rule


def _is_trained_on(annotation: Annotation, boxes: np.ndarray, assigner: HybridBlock) -> bool:
    """Returns whether a proposal (R, 4) of an image without ordinary objects gets a label."""
    clipped = np.clip(boxes, 0, np.array([annotation.width, annotation.height] * 2, np.float32))
    clipped = clipped[(clipped[:, 2:] > clipped[:, :2]).all(axis=1)]
    if not len(clipped):
        return False
    # An object of padding, because MXNet has no arrays without elements.
    regions = np.concatenate([annotation.boxes, np.zeros((1, 4), np.float32)])
    kinds = np.array([CROWD] * len(annotation.boxes) + [PADDING], np.float32)
    arrays = (clipped, np.ones(len(clipped), np.float32), regions, kinds)
    labels, _ = assigner(*(mx.nd.array(array[None]) for array in arrays))
    return bool((labels.asnumpy() >= 0).any())
