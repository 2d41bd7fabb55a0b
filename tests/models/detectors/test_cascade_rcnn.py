"""Cascade R-CNN: stage after stage by numpy, one graph, with masks too."""

import mxnet as mx
import numpy as np
import pytest

from detkit.models import Proposals, Refine
from detkit.ops import backend
from support import oracles
from support.cascades import WEIGHTS, cascade, mask_cascade, refined_by_numpy
from support.detecting import agrees, assert_same, detect, exported
from support.environment import BACKENDS

pytestmark = pytest.mark.processor


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("stages", [1, 3])
def test_detections_are_numpys(small_model, images, class_agnostic, stages):
    some = Proposals(pre_nms=200, post_nms=20, min_size=2, score_floor=0.75)
    model = cascade(small_model(), class_agnostic, stages, proposals=some)
    pixels, sizes = images((64, 48), (40, 80))
    features = model.features(*map(mx.nd.array, (pixels, sizes)))
    rois, scores = model.proposals(
        model.anchors(features), *model.rpn_head(features), mx.nd.array(sizes)
    )
    rois, scores, probabilities, outputs = rois.asnumpy(), scores.asnumpy(), 0, ()
    for stage in range(stages):
        if stage:
            given = zip(rois, *outputs, [WEIGHTS[stage - 1]] * 2, sizes)
            rois = np.array([refined_by_numpy(*of_image) for of_image in given])
        outputs = model.roi_heads[stage](model.roi_extractor(features, mx.nd.array(rois)))
        outputs = [np.array(np.split(array.asnumpy(), 2)) for array in outputs]
        exponents = np.exp(outputs[0])
        probabilities += exponents / exponents.sum(axis=2, keepdims=True) / stages

    found = detect(model, pixels, sizes)
    for row, size in enumerate(sizes):
        real = scores[row] >= 0
        assert 5 < real.sum() < 20
        given = rois[row][real], np.log(probabilities[row][real]), outputs[1][row][real]
        expected = oracles.detections(*given, size, 0.2, 0.5, 12, WEIGHTS[stages - 1])
        count = (found[1][row] >= 0).sum()
        assert count == len(expected[1]) > 3
        assert_same([array[row, :count] for array in found], expected)


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_imperative_hybridized_and_each_row_alone_agree(small_model, images, class_agnostic):
    model = cascade(small_model(), class_agnostic)
    imperative = agrees(model, *images((64, 48), (40, 80), (64, 80)))
    assert (imperative[1] >= 0).any(axis=1).all()


@pytest.mark.parametrize("operators", BACKENDS)
def test_the_exported_graph_gives_the_same_at_every_size(small_model, images, tmp_path, operators):
    model = cascade(small_model(), class_agnostic=False)
    with backend.using(operators):
        again = exported(model, tmp_path, *images((32, 32)))
    for shapes in ([(64, 48), (40, 80)], [(24, 100)]):
        pixels, sizes = images(*shapes)
        with backend.using("mxnet"):
            expected = detect(cascade(small_model(), class_agnostic=False), pixels, sizes)
            assert_same(detect(again, pixels, sizes), expected)


def test_probabilities_that_vanish_and_images_of_padding_are_no_detections(small_model, images):
    model = cascade(small_model())
    for head in model.roi_heads:
        head.classes.bias.set_data(mx.nd.array([0, 300, -300, -300]))
    pixels, _ = images((32, 48), (32, 48))
    boxes, scores, labels = detect(model, pixels, [[0, 0], [32, 48]])
    assert (scores[0] == -1).all()
    assert (labels[0] == -1).all()
    assert scores[1].max() == 1
    assert set(labels[1]) <= {0, -1}
    assert np.isfinite(boxes).all()


def test_stages_and_their_weights_must_agree_in_number(small_model):
    with pytest.raises(ValueError, match=r"^refine.box_weights: .* 2 .*3 roi_heads.* 1;"):
        cascade(small_model(), refine=Refine(WEIGHTS[:1]))


def test_masks_are_those_of_the_last_boxes(small_model, images):
    model = mask_cascade(small_model())
    pixels, sizes = images((64, 48), (40, 80))
    *found, masks = detect(model, pixels, sizes)
    assert_same(found, detect(cascade(small_model()), pixels, sizes))
    boxes, scores, labels = map(mx.nd.array, found)
    features = model.features(mx.nd.array(pixels), mx.nd.array(sizes))
    logits = model.mask_head(model.mask_extractor(features, boxes), labels)
    expected = mx.nd.sigmoid(logits).asnumpy()
    np.testing.assert_allclose(masks, expected, rtol=1e-4)
