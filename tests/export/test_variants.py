"""Variants of the heads as files: the exported symbol and ONNX find what the network finds."""

from functools import partial

import pytest

import detkit
from detkit.models import KeypointRCNN, Postprocess, RoIAlign
from detkit.models.box_statistics import BoxStatistics
from detkit.models.roi_heads import ConvFCHead, CosineFCHead, FCHead, KeypointHead
from detkit.models.spatial_pyramid import SPP
from support.environment import BACKENDS
from support.exports import KINDS, assert_same, exported, photos
from support.onnx_runs import ONNX, assert_detections_agree

pytestmark = pytest.mark.processor
OF_ALL = {"means": [0, 0.1, 0, 0.05], "stds": [0.1, 0.1, 0.2, 0.2]}
OF_EACH = {"means": [[0.1 * k, 0, 0.1, 0] for k in range(3)], "stds": [[0.1, 0.2, 0.1, 0.3]] * 3}
GROUPS = {"type": "GN", "groups": 3}


def with_statistics(build, statistics, kind="FasterRCNN"):
    """A network of three classes whose box targets were normalised."""
    choice = {"score_floor": 0.2, "max_detections": 12}
    postprocess = Postprocess(box_statistics=BoxStatistics(**statistics), **choice)
    return KINDS[kind](partial(build, postprocess=postprocess))


def with_norm(build, norm):
    return build(roi_head=ConvFCHead(8, 3, 3, convs=[6], norm=norm, hidden=[8]))


def keypoints_with_norm(build):
    head = KeypointHead(8, 4, 3, num_keypoints=5, convs=1, channels=6, norm=GROUPS)
    extractor = RoIAlign([8], 8, size=4)
    return build(kind=KeypointRCNN, keypoint_extractor=extractor, keypoint_head=head)


def with_bins(build):
    """A pyramid of bins before a head whose first layer is of rank 4."""
    bins = SPP([8], 8, bins=(1, 2))
    head = FCHead(bins.channels, bins.size, 3, hidden=[16], dropout=0, ranks=[4])
    return build(roi_extractor=bins, roi_head=head)


def with_cosines(build):
    return build(roi_head=CosineFCHead(8, 3, 3, hidden=[8]))


VARIANTS = {
    "statistics of all classes": partial(with_statistics, statistics=OF_ALL),
    "statistics of each class": partial(with_statistics, statistics=OF_EACH),
    "statistics and masks on C5": partial(with_statistics, statistics=OF_EACH, kind="MaskRCNNC4"),
    "statistics and keypoints": partial(with_statistics, statistics=OF_EACH, kind="KeypointRCNN"),
    "instance norm": partial(with_norm, norm="IN"),
    "groups of a norm": partial(with_norm, norm=GROUPS),
    "groups of a norm of keypoints": keypoints_with_norm,
    "bins and a rank": with_bins,
    "cosines": with_cosines,
}


@pytest.mark.parametrize("ops", BACKENDS)
@pytest.mark.parametrize("name", VARIANTS)
def test_the_symbol_finds_the_same(small_model, tmp_path, name, ops):
    images = photos((64, 80), (50, 96))
    detector = exported(VARIANTS[name](small_model), tmp_path, ops)
    assert_same(detkit.load_exported(tmp_path).detect(images), detector.detect(images))


@ONNX
@pytest.mark.parametrize("name", VARIANTS)
def test_onnx_finds_the_same(small_model, images, name):
    assert_detections_agree(VARIANTS[name](small_model), images)
