"""R-CNN: a network on every region of an image, alone, in groups, as files, and in training."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

import detkit
from detkit.build import build_model
from detkit.config import load_config
from detkit.errors import ConfigError
from detkit.models.detectors import rcnn
from detkit.plugins import import_plugins
from support import regions, small, tiny
from support.detecting import agrees, assert_same, detect
from support.environment import BACKENDS
from support.exports import assert_same as assert_same_detections
from support.exports import boxes_in, exported, photos
from support.onnx_runs import ONNX, assert_agree
from support.steps import BOXES, LABELS, SIZES, totals_of_steps

pytestmark = pytest.mark.processor


def test_hybridized_and_each_row_alone_agree():
    found = agrees(regions.build(), *regions.batch_of((64, 48), (40, 80), (64, 80)))
    assert (found[1] >= 0).any(axis=1).all()


def test_each_region_is_judged_by_itself():
    model = regions.build()
    pixels, sizes, boxes, scores = regions.batch_of((64, 80))
    logits, deltas = regions.by_hand(model, pixels, sizes, boxes)
    arrays = (boxes, scores, logits, deltas, sizes)
    expected = detect(model.postprocess, *arrays)
    assert (expected[1] >= 0).any()
    assert_same(detect(model, pixels, sizes, boxes, scores), expected)


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("at_once", [1, 7, 20])
def test_groups_of_regions_find_what_all_at_once_do(at_once, hybridized, monkeypatch):
    model, batch = regions.build(), regions.batch_of((64, 48), (40, 80), count=23)
    expected = detect(model, *batch)
    model.hybridize(hybridized)
    monkeypatch.setattr(rcnn, "REGIONS_AT_ONCE", at_once)
    assert_same(detect(model, *batch), expected)


def test_padding_among_the_proposals_is_not_looked_at():
    model, (pixels, sizes, boxes, scores) = regions.build(), regions.batch_of(*SIZES)
    expected = detect(model, pixels, sizes, boxes, scores)
    more = np.concatenate([boxes, np.full_like(boxes, 7)], axis=1)
    padded = np.concatenate([scores, np.full_like(scores, -1)], axis=1)
    assert_same(detect(model, pixels, sizes, more, padded), expected)


@pytest.mark.parametrize("ops", BACKENDS)
def test_exported_it_finds_what_the_detector_finds(ops, tmp_path):
    detector = exported(regions.build(), tmp_path, ops)
    loaded, images = detkit.load_exported(tmp_path), photos((64, 80), (50, 96))
    given = boxes_in(images)
    expected = detector.detect(images, given)
    assert_same_detections(loaded.detect(images, given), expected)
    alone = [loaded.detect(*pair) for pair in zip(images, given)]
    assert_same_detections(alone, expected)


@ONNX
def test_as_onnx_it_finds_the_same():
    batches = regions.batch_of((64, 80)), regions.batch_of((50, 96), (64, 70), count=14)
    for expected in assert_agree(regions.build(), *batches):
        assert (expected[1] >= 0).any(axis=1).all()


def test_it_learns_the_objects_of_a_batch_by_heart():
    model, (pixels, sizes, *proposals) = regions.build(), regions.batch_of(*SIZES)
    batch = (pixels, sizes, BOXES, LABELS, *proposals)
    totals = totals_of_steps(regions.step_of(model), batch, count=60, lr=0.3)
    assert totals[-1] < 0.1 * totals[0]
    features = model.features(mx.nd.array(pixels), mx.nd.array(sizes))
    logits, _ = model.roi_head(model.region_features(features, mx.nd.array(BOXES)))
    real = LABELS.ravel() >= 0
    found = logits.asnumpy().argmax(axis=1)[real]
    np.testing.assert_array_equal(found, 1 + LABELS.ravel()[real])


def test_the_losses_are_those_of_the_regions():
    model = regions.build()
    pixels, sizes, boxes, scores = regions.batch_of((64, 80))
    arrays = (pixels, sizes, BOXES[:1], LABELS[:1], boxes, scores)
    step = regions.step_of(model)
    with autograd.record():
        losses = step(*map(mx.nd.array, arrays))
    assert list(losses) == ["roi_class", "roi_box"]
    rois, labels, targets = step.roi_targets(*map(mx.nd.array, (boxes, scores, *arrays[2:4])))
    judged = regions.by_hand(model, pixels, sizes, rois.asnumpy())
    expected = step.roi_loss(*map(mx.nd.array, judged), labels, targets, rois)
    for found, other in zip(losses.values(), expected):
        assert found.asscalar() == pytest.approx(other.asscalar(), rel=1e-4)


# --- its parts in a config ------------------------------------------------------------------------


def built(config, *overrides):
    config = load_config(config, (*regions.OVERRIDES, *overrides))
    import_plugins(config)
    return build_model(config, ("a", "b"), mx.cpu(), pretrained=False)


@pytest.mark.parametrize(
    ("backbone", "width"),
    [
        ("{type: TinyBackbone}", 16 * 2 * 2),
        ("{type: VGG, depth: 11}", 512 * 1 * 1),
        ("{type: VGG, depth: 11, out_strides: [4, 8]}", 512 * 2 * 2),  # the last of the maps
        ("{type: ZF}", 256 * 2 * 2),  # which rounds up
    ],
)
def test_the_head_gets_the_map_of_a_region(config, backbone, width):
    model = built(config, f"model.backbone={backbone}")
    assert model.roi_head.fc[0].weight.shape == (16, width)
    assert model.roi_head.boxes.weight.shape == (8, width)


def test_a_region_that_is_too_small_for_the_backbone(config):
    with pytest.raises(ConfigError) as caught:
        built(config, "model.backbone={type: VGG, depth: 11}", "model.roi_extractor.size=9")
    tiny.assert_says(str(caught.value), "model.roi_extractor.size", "'VGG'", "found 9", "larger")


class Single(small.SmallBackbone):
    """A backbone that returns its map, not a list of it."""

    def hybrid_forward(self, F, images):
        return self.features(images)


def test_a_backbone_that_returns_no_list():
    with pytest.raises(TypeError, match=r"the backbone Single: expected a list of maps.*NDArray"):
        detect(regions.build(backbone=Single()), *regions.batch_of((64, 80)))
