"""from_detectron2: names and shapes, the order of classes and anchors, refused files."""

import pickle

import mxnet as mx
import numpy as np
import pytest

from detkit.build import build_model
from detkit.converters import detectron2 as converter
from detkit.converters import from_detectron2
from detkit.converters.recipes import load_recipe
from detkit.detections.coco_labels import COCO_CLASSES
from detkit.errors import WeightsError
from detkit.models import AnchorGrid, RPNHead
from detkit.weights.load import load_weights
from support import tiny
from support.backbones import filling
from support.detectron2_names import SHAPES, c4_shapes, fpn_shapes

FPN = "faster_rcnn_R_50_FPN_1x"
SIZES, RATIOS = [32, 64, 128, 256, 512], [0.5, 1, 2]


def zeros(shapes):
    """Weights that take no memory."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


@pytest.fixture
def state():
    """Weights of the detector with FPN, two classes."""
    return zeros(fpn_shapes(50, classes=2))


def refused(*args, **kwargs):
    with pytest.raises(WeightsError) as caught:
        from_detectron2(*args, **kwargs)
    return str(caught.value)


# --- The names ----------------------------------------------------------------------------------


def test_every_model_has_its_names_tested():
    assert set(converter.MODELS) == set(SHAPES)


@pytest.mark.parametrize("recipe", sorted(set(converter.MODELS.values())))
def test_names_and_shapes_are_detectron2s(recipe):
    classes = COCO_CLASSES[:1] if recipe.startswith("keypoint") else COCO_CLASSES
    model = build_model(load_recipe(recipe), classes, mx.cpu(), pretrained=False)
    parameters = model._collect_params_with_prefix()
    names = converter.detectron2_names(model)
    found = {theirs: tuple(parameters[ours].shape) for ours, theirs in names.items()}
    for name in (name for name, of in converter.MODELS.items() if of == recipe):
        assert found == SHAPES[name]
    assert len(found) == len(names)


def test_a_published_file_is_taken_whole(state, tmp_path):
    buffers = {
        "pixel_mean": np.float32([103.53, 116.28, 123.675]).reshape(3, 1, 1),
        "pixel_std": np.ones((3, 1, 1), "f4"),
    }
    for level, size in enumerate(SIZES):
        w, h = size / np.sqrt(RATIOS) / 2, size * np.sqrt(RATIOS) / 2
        name = f"proposal_generator.anchor_generator.cell_anchors.{level}"
        buffers[name] = np.stack([-w, -h, w, h], axis=1).astype("f4")
    state = {name: np.zeros(array.shape, "f4") for name, array in state.items()}
    content = {"model": {**state, **buffers}, "__author__": "Detectron2 Model Zoo"}
    # One weight is not zero, so that it is seen to arrive.
    mean = np.arange(64, dtype="f4")
    content["model"]["backbone.bottom_up.stem.conv1.norm.running_mean"] = mean
    path = tmp_path / "model_final_b275ba.pkl"
    path.write_bytes(pickle.dumps(content, 4))
    detector = from_detectron2(FPN, path, ["cat", "dog"])
    assert detector.class_names == detector.foreground_names == ("cat", "dog")
    np.testing.assert_array_equal(detector.model.backbone.bn1.running_mean.data().asnumpy(), mean)
    assert detector.model.normalize.mean_std_order == (
        (103.53, 116.28, 123.675),
        (1, 1, 1),
        "BGR",
    )


def test_the_one_class_with_keypoints_is_the_person():
    name = "keypoint_rcnn_R_50_FPN_3x"
    detector = from_detectron2(name, zeros(SHAPES[name]))
    assert detector.class_names == ("person",)
    assert len(detector.skeleton) == 19


def test_80_classes_are_cocos():
    assert len(COCO_CLASSES) == 80
    assert [COCO_CLASSES[label] for label in (0, 11, 79)] == ["person", "stop sign", "toothbrush"]


# --- The order ----------------------------------------------------------------------------------


def test_each_anchor_keeps_what_is_said_of_it():
    """Detectron2's anchors at a cell: for each size each ratio."""
    shapes = [(size / ratio**0.5, size * ratio**0.5) for size in SIZES for ratio in RATIOS]
    hidden, rng = 6, np.random.RandomState(0)
    theirs = {
        f"{converter.RPN}objectness_logits.weight": rng.randn(15, hidden, 1, 1),
        f"{converter.RPN}objectness_logits.bias": rng.randn(15),
        f"{converter.RPN}anchor_deltas.weight": rng.randn(60, hidden, 1, 1),
        f"{converter.RPN}anchor_deltas.bias": rng.randn(60),
    }
    ours = converter.reorder(theirs, {"sizes": SIZES, "ratios": RATIOS})
    head = RPNHead(hidden, 15, channels=hidden, objectness="sigmoid")
    load_weights(head.objectness, {k.split(".")[-1]: v for k, v in list(ours.items())[:2]})
    load_weights(head.deltas, {k.split(".")[-1]: v for k, v in list(ours.items())[2:]})
    head.conv.initialize(mx.init.Zero())
    head.conv[0].bias.set_data(mx.nd.arange(1, 1 + hidden))  # what the 1x1 convolutions see
    maps = [mx.nd.zeros((1, hidden, 1, 1))]
    (logits,), (deltas,) = head(maps)

    grid = AnchorGrid([16], sizes=SIZES, ratios=RATIOS, offset=0)
    grid.initialize()
    seen = np.arange(1, 1 + hidden)
    values = [array.reshape(len(array), -1) for array in theirs.values()]
    expected_logits = values[0] @ seen + values[1][:, 0]
    expected_deltas = (values[2] @ seen + values[3][:, 0]).reshape(15, 4)
    anchors = grid(maps)[0].asnumpy()[0]
    for row, box in enumerate(anchors):
        size = box[2] - box[0], box[3] - box[1]
        (same,) = (n for n, shape in enumerate(shapes) if np.allclose(shape, size, rtol=1e-5))
        np.testing.assert_allclose(logits.asnumpy()[0, row], expected_logits[same], rtol=1e-4)
        np.testing.assert_allclose(deltas.asnumpy()[0, row], expected_deltas[same], rtol=1e-4)


def test_the_background_comes_first():
    names = [f"{converter.CLASS_LOGITS}{kind}" for kind in ("weight", "bias")]
    theirs = {names[0]: np.array([[1.0], [2.0], [3.0]]), names[1]: np.array([1.0, 2.0, 3.0])}
    ours = converter.reorder(theirs, {"sizes": SIZES, "ratios": RATIOS})
    assert ours[names[0]].ravel().tolist() == ours[names[1]].tolist() == [3, 1, 2]


def test_what_one_class_is_given_is_found_as_that_class(state):
    """A network of zeros but for one bias: every proposal is the second class, as it stands."""
    bias = np.float32([0, 9, 0])  # cat, dog, background
    state[f"{converter.CLASS_LOGITS}bias"] = bias
    detector = from_detectron2(FPN, state, ["cat", "dog"])
    detections = detector.detect_batch(detector.batch([np.zeros((64, 64, 3), "uint8")]))[0]
    assert len(detections.boxes) > 0
    assert set(detections.labels) == {1}
    np.testing.assert_allclose(detections.scores, np.exp(9) / (np.exp(9) + 2), rtol=1e-5)


# --- The arithmetic of C4 -----------------------------------------------------------------------


def conv_norm(state, x, name, relu=True, **how):
    """Detectron2's convolution with a frozen norm."""
    weight = mx.nd.array(state[f"{name}.weight"])
    shape = {"kernel": weight.shape[2:], "num_filter": len(weight), "no_bias": True}
    x = mx.nd.Convolution(x, weight, **shape, **how)
    scale, shift, mean, variance = (
        mx.nd.array(state[f"{name}.norm.{kind}"]).reshape((1, -1, 1, 1))
        for kind in ("weight", "bias", "running_mean", "running_var")
    )
    x = (x - mean) / mx.nd.sqrt(variance + 1e-5) * scale + shift
    return mx.nd.relu(x) if relu else x


def res5(state, x):
    """The bottlenecks of roi_heads.res5, whose stride is in their first 1x1 convolution."""
    for number in range(3):
        name = f"roi_heads.res5.{number}"
        stride = {"stride": (1, 1) if number else (2, 2)}
        hidden = conv_norm(state, x, f"{name}.conv1", **stride)
        hidden = conv_norm(state, hidden, f"{name}.conv2", pad=(1, 1))
        hidden = conv_norm(state, hidden, f"{name}.conv3", relu=False)
        if number == 0:
            x = conv_norm(state, x, f"{name}.shortcut", relu=False, **stride)
        x = mx.nd.relu(x + hidden)
    return x


def test_boxes_and_masks_of_c4_are_those_of_one_res5():
    shapes = c4_shapes(50, classes=2, masks=True)
    drawn = {n: filling(n, s) for n, s in shapes.items() if n.startswith("roi_heads.")}
    model = from_detectron2("mask_rcnn_R_50_C4_3x", {**zeros(shapes), **drawn}).model
    pooled = mx.nd.random.normal(shape=(2, 1024, 14, 14))
    cells = res5(drawn, pooled)
    layers = {name: mx.nd.array(array) for name, array in drawn.items()}

    def predicted(kind):
        name = f"roi_heads.box_predictor.{kind}"
        means = cells.mean(axis=(2, 3))
        return (mx.nd.dot(means, layers[f"{name}.weight"].T) + layers[f"{name}.bias"]).asnumpy()

    logits, deltas = (output.asnumpy() for output in model.roi_head(pooled))
    how = {"rtol": 1e-3, "atol": 1e-3}
    np.testing.assert_allclose(logits, np.roll(predicted("cls_score"), 1, axis=1), **how)
    np.testing.assert_allclose(deltas.reshape(2, 8), predicted("bbox_pred"), **how)

    head = "roi_heads.mask_head"
    kernel, bias = (layers[f"{head}.deconv.{kind}"] for kind in ("weight", "bias"))
    doubling = {"kernel": (2, 2), "stride": (2, 2), "num_filter": 256, "no_bias": False}
    hidden = mx.nd.relu(mx.nd.Deconvolution(cells, kernel, bias, **doubling))
    last = [layers[f"{head}.predictor.{kind}"] for kind in ("weight", "bias")]
    masks = mx.nd.Convolution(hidden, *last, kernel=(1, 1), num_filter=2).asnumpy()
    found = model.mask_head(model.roi_head.trunk(pooled), mx.nd.array([[1, 0]])).asnumpy()
    np.testing.assert_allclose(found[0], masks[[0, 1], [1, 0]], **how)
    assert found.shape == (1, 2, 14, 14)


# --- Refused files ------------------------------------------------------------------------------


def test_missing_superfluous_and_misshapen_names_are_named(state):
    name = "backbone.bottom_up.res3.0.shortcut.norm.running_var"
    array = state.pop(name)
    message = refused(FPN, state)
    tiny.assert_says(message, "missing", "1", repr(name))
    state[name] = array
    state["roi_heads.mask_head.predictor.bias"] = np.zeros(2)
    message = refused(FPN, state)
    tiny.assert_says(message, "1 more in the file", "'roi_heads.mask_head.predictor.bias'")
    del state["roi_heads.mask_head.predictor.bias"]
    state["proposal_generator.rpn_head.anchor_deltas.bias"] = np.zeros(15)
    message = refused(FPN, state)
    tiny.assert_says(message, "anchor_deltas.bias'", "(15,)", "(12,)")


def test_weights_of_another_network(state):
    del state["roi_heads.box_predictor.cls_score.weight"]
    message = refused(FPN, state)
    tiny.assert_says(message, FPN, "'roi_heads.box_predictor.cls_score.weight'")
    assert "nearest is 'roi_heads.box_predictor" in message


def test_class_names_of_another_number(state):
    message = refused(FPN, state, ["cat", "dog", "background"])
    tiny.assert_says(message, "class_names", "expected 2", "background", "found 3")


def test_a_model_that_was_configured_otherwise(state):
    state["pixel_std"] = np.float32([57.375, 57.12, 58.395])
    tiny.assert_says(refused(FPN, state), "pixel_std", "[1, 1, 1]", "[57.375")
    del state["pixel_std"]
    state["proposal_generator.anchor_generator.cell_anchors.0"] = np.ones((3, 4))
    tiny.assert_says(refused(FPN, state), "cell_anchors.0", "expected [-22.6", "found [1.0, ")


def test_an_unknown_model_has_a_near_match(state):
    message = refused("faster_rcnn_R50_FPN_1x", state)
    tiny.assert_says(message, "'faster_rcnn_R50_FPN_1x'", "did you mean 'faster_rcnn_R_50_FPN_1x'")
    assert "mask_rcnn_R_50_FPN_3x" in message


def test_a_file_that_is_not_there(tmp_path):
    assert str(tmp_path / "none.pkl") in refused(FPN, tmp_path / "none.pkl")
