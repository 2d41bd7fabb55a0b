"""Detectors as ONNX models: what ONNX Runtime finds is what MXNet finds."""

import json
import sys
from functools import partial

import numpy as np
import pytest
from mxnet.gluon import HybridBlock, nn

from detkit.errors import ExportError
from detkit.export.onnx import convert, save
from detkit.models import (
    AnchorGrid,
    CropPool,
    FastRCNN,
    Normalize,
    Postprocess,
    Proposals,
    PrRoIPool,
    RoIAlign,
    RoIPool,
    RPNHead,
)
from detkit.models.necks import FPN, PAFPN
from detkit.threshold import Threshold
from support.cascades import cascade
from support.exports import KINDS, NAMES, detector_of
from support.onnx_runs import ONNX, assert_agree, assert_detections_agree

pytestmark = [ONNX, pytest.mark.processor]


@pytest.mark.parametrize("kind", KINDS)
def test_every_detector(kind, small_model, images):
    assert_detections_agree(KINDS[kind](small_model), images)


PARTS = {
    "class-agnostic": {"class_agnostic": True},
    "sigmoid": {"rpn_head": RPNHead(8, 6, channels=8, objectness="sigmoid", convs=2)},
    "BGR": {"normalize": Normalize(order="BGR")},
    "measured strides": {
        "anchors": AnchorGrid([8], sizes=(12, 24), ratios=(0.25, 1, 4), measured_strides=True)
    },
    "score floor": {"proposals": Proposals(200, 20, min_size=2, score_floor=0.4)},
    "all levels": {"proposals": Proposals(200, 20, min_size=2, all_levels=True)},
    "few candidates": {
        "proposals": Proposals(6000, 2000, min_size=0),
        "postprocess": Postprocess(0.2, max_detections=300, pre_nms=5000, clip=False),
    },
    "scores by sigmoid": {"postprocess": Postprocess(0.5, max_detections=12, scores="sigmoid")},
    "RoIAlign, adaptive": {"roi_extractor": RoIAlign([8], 8, size=3, sampling=None)},
    "RoIAlign, not aligned": {"roi_extractor": RoIAlign([8], 8, size=3, aligned=False)},
    "RoIAlign, max": {"roi_extractor": RoIAlign([8], 8, size=3, sampling=3, mode="max")},
    "RoIPool": {"roi_extractor": RoIPool([8], 8, size=3)},
    "CropPool": {"roi_extractor": CropPool([8], 8, size=3)},
}


@pytest.mark.parametrize("parts", PARTS)
def test_every_part(parts, small_model, images):
    assert_detections_agree(small_model(**PARTS[parts]), images)


def test_class_agnostic_cascade(small_model, images):
    assert_detections_agree(cascade(small_model(), class_agnostic=True), images)
    assert_detections_agree(cascade(small_model(), class_agnostic=False), images)
    post = Postprocess(0.5, max_detections=12, box_weights=(30, 30, 15, 15), scores="sigmoid")
    assert_detections_agree(cascade(small_model(), postprocess=post), images)


class Pyramid(HybridBlock):
    """Maps of strides 4, 8 and 16, with batch norms."""

    channels, strides = (8, 8, 8), (4, 8, 16)

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.stages = nn.HybridSequential()
            for before, stride in ((3, 4), (8, 2), (8, 2)):
                stage = nn.HybridSequential()
                stage.add(nn.Conv2D(8, 5, stride, 2, in_channels=before, use_bias=False))
                stage.add(nn.BatchNorm(in_channels=8), nn.Activation("relu"))
                self.stages.add(stage)

    def hybrid_forward(self, F, x):
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


@pytest.mark.parametrize(
    "neck, extractor",
    [
        (FPN, RoIAlign),
        (FPN, partial(RoIAlign, combine="max")),
        (FPN, RoIPool),
        (FPN, CropPool),
        (PAFPN, RoIAlign),
    ],
)
def test_pyramids(neck, extractor, small_model, images):
    neck = neck([8, 8, 8], [4, 8, 16], channels=8)
    anchors = AnchorGrid(neck.strides, sizes=[[8], [16], [32], [64]], ratios=(0.5, 1, 2))
    model = small_model(
        backbone=Pyramid(),
        neck=neck,
        anchors=anchors,
        rpn_head=RPNHead(8, anchors.per_cell, channels=8, objectness="sigmoid"),
        proposals=Proposals(pre_nms=30, post_nms=40, min_size=0),
        roi_extractor=extractor(neck.strides, 8, size=3, levels=3, canonical_size=64.0),
    )
    make_moderate(model)
    # Cells that see padding alone have one objectness, but for the last bit, and that would decide
    # which of them are among the best 30. With so little padding there are none.
    assert_detections_agree(model, images, padded=((90, 96), (96, 91)))


def make_moderate(model):
    """Make random box deltas and class logits as small as trained ones.

    Those of a random pyramid are up to 50 anchors wide: boxes of thousands of pixels, of which the
    image cuts a corner. There the last bit of a pixel moved a corner by 0.008 px, and two CPUs were
    0.02 px apart; with these deltas it is 0.0005 px. Scores of large logits are 1 but for the last
    bit, which decides about their order.
    """
    for name, parameter in model._collect_params_with_prefix().items():
        if name.startswith(("rpn_head.deltas", "roi_head.boxes", "roi_head.classes")):
            parameter.set_data(0.1 * parameter.data())


def test_proposals_as_inputs(small_model, images):
    plain = small_model()
    model = FastRCNN(**{name: getattr(plain, name) for name in FastRCNN.PARTS})
    rng, batches = np.random.default_rng(0), []
    for count, rows in ((1, 7), (2, 30)):
        corner = rng.uniform(0, 40, (count, rows, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(1, 40, corner.shape)], axis=2)
        scores = np.where(rng.random((count, rows)) < 0.8, 1, -1)
        pair = boxes.astype("float32"), scores.astype("float32")
        batches.append((*images(*[(64, 80)] * count), *pair))
    assert_agree(model, *batches)


def test_an_image_without_detections(small_model, images):
    model = small_model(postprocess=Postprocess(score_floor=0.9999, max_detections=5))
    ((boxes, scores, labels),) = assert_agree(model, images((40, 64), (64, 64)))
    assert (boxes == 0).all()
    assert (scores == -1).all()
    assert (labels == -1).all()


def test_the_file_says_what_it_is(small_model, tmp_path):
    onnx = pytest.importorskip("onnx")
    detector = detector_of(small_model(), first_label=0)
    path = tmp_path / "model.onnx"
    save(detector, path)
    found = onnx.load(str(path))
    assert found == convert(detector)  # the names too are the same each time
    assert {entry.domain: entry.version for entry in found.opset_import} == {"": 17}
    about = {entry.key: entry.value for entry in found.metadata_props}
    assert json.loads(about["classes"]) == list(NAMES)
    assert (about["first_label"], about["pad_multiple"]) == ("0", "16")
    assert "threshold" not in about
    sides = {
        value.name: [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*found.graph.input, *found.graph.output)
    }
    assert sides == {
        "images": ["B", 3, "H", "W"],
        "sizes": ["B", 2],
        "boxes": ["B", 12, 4],
        "scores": ["B", 12],
        "labels": ["B", 12],
    }
    operators = {node.op_type for node in found.graph.node}
    assert operators >= {"Conv", "NonMaxSuppression", "RoiAlign", "TopK"}
    assert not operators & {"BatchNormalization", "Loop", "Scan", "If"}


def test_the_file_has_the_threshold_of_the_detector(small_model):
    threshold = Threshold((0.25, 0.5, 0.75), "f1", "val")
    found = convert(detector_of(small_model(), threshold=threshold))
    about = {entry.key: entry.value for entry in found.metadata_props}
    assert json.loads(about["threshold"]) == threshold.to_json()


def test_what_onnx_has_no_words_for_is_refused(small_model):
    model = small_model(roi_extractor=PrRoIPool([8], 8, size=3))
    with pytest.raises(
        ExportError, match=r"detkit_prroi_pool 'prroipool\d+_.*RoIAlign, or RoIPool"
    ):
        convert(detector_of(model))
    model = small_model(roi_extractor=RoIPool([8], 8, size=3, mode="average"))
    with pytest.raises(ExportError, match="detkit_roi_pool .*mode average"):
        convert(detector_of(model))


def test_a_file_that_cannot_be_written(small_model, tmp_path):
    path = tmp_path / "no" / "model.onnx"
    with pytest.raises(ExportError, match=f"{path}: .*No such file"):
        save(detector_of(small_model()), path)


def test_without_the_package(small_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ExportError, match=r"pip install 'detkit-gluon\[onnx\]'"):
        convert(detector_of(small_model()))
