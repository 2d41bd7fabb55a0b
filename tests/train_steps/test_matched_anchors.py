"""The matched anchors of an image, compared with plain numpy on the anchors of a real forward."""

import mxnet as mx
import numpy as np
import pytest

from detkit.build import build_dataset, build_model, build_train_step, build_transforms, open_config
from detkit.data.batch import make_batch
from detkit.data.pictures import sample_with_all
from detkit.data.transforms import apply
from detkit.train_steps.matched_anchors import AnchorMatcher, targets_of
from support import oracles, tiny

ANCHORS = "model.anchors={type: AnchorGrid, sizes: [12, 24], ratios: [0.5, 1]}"
TWO_LEVELS = (
    "model.neck={type: FPN, channels: 16}",
    "model.anchors={type: AnchorGrid, sizes: [[12], [24]], ratios: [1, 2]}",
    "model.roi_extractor.levels=1",
)


INSIDE = "train_step.rpn_targets.straddle=0"  # only anchors within the image


@pytest.fixture(params=[(ANCHORS,), TWO_LEVELS, (ANCHORS, INSIDE), (*TWO_LEVELS, INSIDE)])
def built(request, tmp_path):
    """(config, dataset, model, step) of the tiny detector, with one level and with two."""
    config = open_config(tiny.project(tmp_path), request.param)
    dataset = build_dataset(config, "train")
    model = build_model(config, dataset.class_names, mx.cpu(), pretrained=False)
    return config, dataset, model, build_train_step(config, model, len(dataset.class_names))


def test_they_are_those_of_a_plain_assigner(built):
    config, dataset, model, step = built
    matcher, found = AnchorMatcher(step), 0
    for index in range(4):
        sample = sample_with_all(dataset, index, [])
        sample = apply(build_transforms(config, "train"), sample, np.random.default_rng(index))
        if index == 1:  # an ignored region is matched with nothing
            sample = sample._replace(difficult=np.arange(len(sample.boxes)) == 0)
        batch = make_batch([sample], [sample.image.shape[:2]])
        images, sizes = mx.nd.array(batch.images), mx.nd.array(batch.sizes)
        levels = model.anchors_of(images, model.features(images, sizes))
        anchors = np.concatenate([each.asnumpy()[0] for each in levels])
        height, width = sample.image.shape[:2]
        inside = np.ones(len(anchors), bool)
        if config["train_step"]["rpn_targets"]["straddle"] is not None:
            inside = (np.clip(anchors, 0, [width, height] * 2) == anchors).all(axis=1)
        overlaps = oracles.iou_matrix(anchors, sample.boxes)
        judged = np.where(sample.difficult, -1, overlaps)
        labels, objects = oracles.assign(judged, inside, 0.7, 0.3)
        rows = np.flatnonzero(np.asarray(labels) == 1)
        matched = matcher(sample)
        np.testing.assert_array_equal(matched.boxes, anchors[rows])
        np.testing.assert_array_equal(matched.objects, np.asarray(objects)[rows])
        np.testing.assert_allclose(matched.iou, overlaps[rows, matched.objects], atol=1e-5)
        np.testing.assert_allclose(matched.best, overlaps[inside].max(axis=0), atol=1e-5)
        level_of = np.repeat(np.arange(len(levels)), [each.shape[1] for each in levels])
        np.testing.assert_array_equal(matched.levels, level_of[rows])
        found += len(rows)
    assert found


def test_an_image_without_objects_has_none(built):
    _, dataset, _, step = built
    sample = sample_with_all(dataset, 0, [])
    matched = AnchorMatcher(step)(sample.take(np.zeros(len(sample.boxes), bool)))
    assert matched.boxes.shape == (0, 4)
    assert len(matched.best) == 0


def test_a_step_without_anchors_is_refused():
    class Step:
        PARTS = {"roi_targets": None}
        roi_targets = None

    assert targets_of(Step()) is None
    with pytest.raises(TypeError, match="Step.*expected targets of anchors"):
        AnchorMatcher(Step())
