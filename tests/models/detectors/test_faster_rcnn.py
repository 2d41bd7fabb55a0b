"""The whole network: one graph for every batch and image size, imperative, hybridized, exported."""

import json

import numpy as np
import pytest

from detkit.models import RoIPool, RPNHead
from detkit.ops import backend
from support.detecting import agrees, assert_same, detect, exported
from support.environment import BACKENDS

pytestmark = pytest.mark.processor


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_imperative_hybridized_and_each_row_alone_agree(small_model, images, class_agnostic):
    model = small_model(class_agnostic=class_agnostic)
    imperative = agrees(model, *images((64, 48), (40, 80), (64, 80)))
    assert (imperative[1] >= 0).any(axis=1).all()


def test_what_the_padding_holds_does_not_matter(small_model, images):
    model = small_model()
    expected = detect(model, *images((64, 48), (40, 80)))
    assert_same(detect(model, *images((64, 48), (40, 80), padding=255.0)), expected)


def test_boxes_stay_within_each_image(small_model, images):
    boxes, scores, labels = detect(small_model(), *images((64, 48), (40, 80)))
    for row, (h, w) in enumerate([(64, 48), (40, 80)]):
        found = boxes[row, scores[row] >= 0]
        assert (found >= 0).all()
        assert (found <= [w, h, w, h]).all()
        assert (found[:, 2:] > found[:, :2]).all()
        assert (np.diff(scores[row]) <= 0).all()
        assert set(labels[row, scores[row] >= 0]) <= {0, 1, 2}


def test_several_sizes_pass_one_hybridized_block(small_model, images):
    plain, hybridized = small_model(), small_model()
    hybridized.hybridize()
    for size, batch in (((32, 32), 1), ((64, 48), 2), ((16, 96), 1), ((32, 32), 3)):
        pixels, sizes = images(*[size] * batch)
        assert_same(detect(hybridized, pixels, sizes), detect(plain, pixels, sizes))


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (16, 16)])
def test_tiny_images(small_model, images, size):
    boxes, scores, labels = detect(small_model(), *images(size, canvas=(16, 16)))
    assert all(np.isfinite(array).all() for array in (boxes, scores, labels))
    assert (boxes[..., 2] <= size[1]).all()


def test_an_image_of_padding_alone_has_no_detections(small_model, images):
    pixels, _ = images((32, 48), (32, 48))
    _, scores, labels = detect(small_model(), pixels, [[0, 0], [32, 48]])
    assert (scores[0] == -1).all()
    assert (labels[0] == -1).all()
    assert (scores[1] >= 0).any()


def test_pixels_that_are_not_finite_spoil_no_other_image(small_model, images):
    model = small_model()
    pixels, sizes = images((32, 48), (32, 48))
    expected = detect(model, pixels, sizes)
    pixels[0] = np.nan
    found = detect(model, pixels, sizes)
    assert all(np.isfinite(array).all() for array in found)
    assert_same([array[1:] for array in found], [array[1:] for array in expected])


def test_roi_pool_and_sigmoid_instead_of_roi_align_and_softmax(small_model, images):
    model = small_model(
        roi_extractor=RoIPool(strides=[8], channels=8, size=3),
        rpn_head=RPNHead(8, num_anchors=6, channels=8, objectness="sigmoid"),
    )
    expected = detect(model, *images((40, 48)))
    assert (expected[1] >= 0).any()
    model.hybridize()
    assert_same(detect(model, *images((40, 48))), expected)


@pytest.mark.usefixtures("built_library")
def test_native_operators_give_the_same_detections(small_model, images):
    pixels, sizes = images((64, 48), (40, 80), (64, 80))
    found = []
    for operators in ("native", "mxnet"):
        model = small_model()
        model.hybridize()
        with backend.using(operators):
            found.append(detect(model, pixels, sizes))
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("operators", BACKENDS)
def test_exported_graph_gives_the_same_at_every_size(small_model, images, tmp_path, operators):
    model = small_model()
    with backend.using(operators):
        again = exported(model, tmp_path, *images((32, 32)))
    for sizes in ([(32, 32)], [(64, 48), (40, 80), (64, 80)], [(16, 16)], [(24, 100)] * 2):
        batch = images(*sizes)
        assert_same(detect(again, *batch), detect(model, *batch))


@pytest.mark.parametrize("operators", BACKENDS)
def test_exported_graph_needs_no_python_and_knows_no_shape(
    small_model, images, tmp_path, operators
):
    with backend.using(operators):
        exported(small_model(), tmp_path, *images((32, 32)))
    nodes = json.loads((tmp_path / "detector-symbol.json").read_text())["nodes"]
    operators = {node["op"] for node in nodes}
    assert operators & {"_contrib_box_nms", "detkit_nms"}
    assert "Custom" not in operators
    inputs = [node for node in nodes if node["name"] in ("data0", "data1")]
    assert len(inputs) == 2
    assert all("__shape__" not in node.get("attrs", {}) for node in inputs)
