"""The whole network: one graph for every batch and image size, imperative, hybridized, exported."""

import json

import mxnet as mx
import numpy as np
import pytest

from detkit.models import Normalize, RoIPool, RPNHead
from detkit.ops import backend
from support.detecting import assert_same, detect
from support.environment import BACKENDS

pytestmark = pytest.mark.processor


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_imperative_hybridized_and_each_row_alone_agree(small_model, images, class_agnostic):
    model = small_model(class_agnostic=class_agnostic)
    pixels, sizes = images((64, 48), (40, 80), (64, 80))
    imperative = detect(model, pixels, sizes)
    assert (imperative[1] >= 0).any(axis=1).all()
    model.hybridize()
    assert_same(detect(model, pixels, sizes), imperative)
    for row in range(3):
        alone = detect(model, pixels[row : row + 1], sizes[row : row + 1])
        assert_same(alone, [array[row : row + 1] for array in imperative])


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


def test_roi_pool_and_sigmoid_in_place_of_roi_align_and_softmax(small_model, images):
    model = small_model(
        roi_extractor=RoIPool(strides=[8], channels=8, size=3),
        rpn_head=RPNHead(8, num_anchors=6, channels=8, objectness="sigmoid"),
    )
    expected = detect(model, *images((40, 48)))
    assert (expected[1] >= 0).any()
    model.hybridize()
    assert_same(detect(model, *images((40, 48))), expected)


def test_objectness_by_softmax_is_the_difference_of_the_logits():
    head = RPNHead(in_channels=4, num_anchors=2, channels=5)
    head.initialize(mx.init.Normal(1))
    features = mx.nd.random.normal(shape=(2, 4, 3, 5))
    (logits,), (deltas,) = head([features])
    assert logits.shape == (2, 3 * 5 * 2)
    assert deltas.shape == (2, 3 * 5 * 2, 4)
    maps = head.objectness(head.conv(features)).asnumpy()  # (2, A * 2, 3, 5)
    for b, row, column, anchor in ((0, 0, 0, 0), (1, 2, 4, 1), (0, 1, 3, 0)):
        background, foreground = maps[b, 2 * anchor : 2 * anchor + 2, row, column]
        found = logits[b, (row * 5 + column) * 2 + anchor].asscalar()
        assert found == pytest.approx(foreground - background, abs=1e-5)
    moves = head.deltas(head.conv(features)).asnumpy()
    assert deltas[1, (2 * 5 + 1) * 2 + 1].asnumpy() == pytest.approx(moves[1, 4:8, 2, 1], abs=1e-6)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_normalize(order, images):
    pixels, sizes = images((3, 4), (2, 2), padding=9.0)
    block = Normalize(mean=(1, 2, 3), std=(4, 5, 6), order=order)
    block.initialize()
    found = block(mx.nd.array(pixels), mx.nd.array(sizes)).asnumpy()
    expected = np.zeros_like(pixels)
    for row, (h, w) in enumerate([(3, 4), (2, 2)]):
        for channel in range(3):
            source = channel if order == "RGB" else 2 - channel
            plane = pixels[row, source, :h, :w]
            expected[row, channel, :h, :w] = (plane - (1, 2, 3)[channel]) / (4, 5, 6)[channel]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"std": (1, 0, 1)}, "those of std above zero"),
        ({"mean": (1, 2)}, "three numbers each"),
        ({"order": "GBR"}, 'order is "RGB" or "BGR", not \'GBR\''),
    ],
)
def test_arguments_of_normalize_are_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        Normalize(**wrong)


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


@pytest.fixture(params=BACKENDS)
def exported(request, small_model, images, tmp_path):
    """A model and the names of the files it was exported to at one image of 32 x 32."""
    model = small_model()
    model.hybridize()
    with backend.using(request.param):
        detect(model, *images((32, 32)))
    model.export(str(tmp_path / "detector"))
    return model, str(tmp_path / "detector-symbol.json"), str(tmp_path / "detector-0000.params")


def test_exported_graph_gives_the_same_at_every_size(exported, images):
    model, symbol, params = exported
    again = mx.gluon.SymbolBlock.imports(symbol, ["data0", "data1"], params)
    for sizes in ([(32, 32)], [(64, 48), (40, 80), (64, 80)], [(16, 16)], [(24, 100)] * 2):
        pixels, sizes = images(*sizes)
        assert_same(detect(again, pixels, sizes), detect(model, pixels, sizes))


def test_exported_graph_needs_no_python_and_knows_no_shape(exported):
    _, symbol, _ = exported
    with open(symbol) as file:
        nodes = json.load(file)["nodes"]
    operators = {node["op"] for node in nodes}
    assert operators & {"_contrib_box_nms", "detkit_nms"}
    assert "Custom" not in operators
    inputs = [node for node in nodes if node["name"] in ("data0", "data1")]
    assert len(inputs) == 2
    assert all("__shape__" not in node.get("attrs", {}) for node in inputs)
