"""from_torchvision: the names, shapes and numbers that it takes, and refused files."""

import re

import mxnet as mx
import numpy as np
import pytest

import detkit.converters.torchvision as converter
from detkit.converters import from_torchvision
from detkit.detections.coco_labels import COCO_CLASSES, COCO_LABELS
from detkit.errors import WeightsError
from support import backbones, safetensors_files, tiny
from support.torchvision_models import DENSE, IMAGE, SMALL, shapes_of

# torchvision 0.29: backbones.digest of the state_dict, num_batches_tracked left out
DIGESTS = {
    "fasterrcnn_resnet50_fpn": "3b48f955f86cbb36",
    "fasterrcnn_resnet50_fpn_v2": "c15dff4ef1a64cc0",
    "fasterrcnn_mobilenet_v3_large_fpn": "e0df588e6160ef5c",
    "fasterrcnn_mobilenet_v3_large_320_fpn": "e0df588e6160ef5c",
    "maskrcnn_resnet50_fpn": "fac6a17b4d4c2bb9",
    "maskrcnn_resnet50_fpn_v2": "afe03c90a9e5eca8",
    "keypointrcnn_resnet50_fpn": "fa197e3b2b219683",
    "retinanet_resnet50_fpn": "593e3a6a7dba629f",
    "retinanet_resnet50_fpn_v2": "af086fb2c038315c",
}
MASKS = "maskrcnn_resnet50_fpn"
CLASS_WEIGHT = "roi_heads.box_predictor.cls_score.weight"
BOX_DELTAS = "roi_heads.box_predictor.bbox_pred."
STATISTICS = "backbone.body.0.1.running_mean"


@pytest.fixture(scope="module")
def small_state():
    """Weights of the smallest model, with three labels."""
    return {name: backbones.filling(name, shape) for name, shape in shapes_of(SMALL, 3).items()}


@pytest.fixture
def state(small_state):
    return dict(small_state)


def same(found, expected):
    assert len(found.boxes) > 0
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.labels, expected.labels)


@pytest.mark.parametrize("name", converter.MODELS)
def test_names_and_shapes_are_torchvisions(name):
    assert backbones.digest(shapes_of(name, len(converter.MODELS[name].labels))) == DIGESTS[name]


def test_labels_are_the_classes_and_torchvisions_numbers_on_request(state):
    names = ["nothing", "cat", "dog"]
    found = from_torchvision(SMALL, state, names).detect(IMAGE)
    assert found.class_names == ("cat", "dog")
    assert set(found.labels) == {0, 1}
    own = from_torchvision(SMALL, state, labels="torchvision").detect(IMAGE)
    assert own.class_names == ("__background__", "1", "2")
    np.testing.assert_array_equal(own.labels, found.labels + 1)
    np.testing.assert_array_equal(own.boxes, found.boxes)
    np.testing.assert_array_equal(own.scores, found.scores)
    tiny.assert_says(refused(SMALL, state, labels="own"), "labels", "'contiguous'", "'own'")


GAP = ["__background__", "cat", "N/A", "dog"]


def with_gap(name, logits):
    """Weights of four labels of which the third is never found."""
    state = {key: backbones.filling(key, shape) for key, shape in shapes_of(name, 4).items()}
    state[f"{logits}.weight"][2::4] = 0
    state[f"{logits}.bias"][2::4] = -40
    return state


def test_numbers_without_a_class_are_left_out():
    state = with_gap(SMALL, CLASS_WEIGHT.rpartition(".")[0])
    found = from_torchvision(SMALL, state, GAP).detect(IMAGE)
    own = from_torchvision(SMALL, state, GAP, labels="torchvision").detect(IMAGE)
    assert found.class_names == ("cat", "dog")
    assert len(found) > 0 and set(own.labels) <= {1, 3}
    np.testing.assert_array_equal(found.names, own.names)
    np.testing.assert_array_equal(found.labels * 2 + 1, own.labels)
    np.testing.assert_allclose(found.boxes, own.boxes, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found.scores, own.scores, rtol=1e-5)


def test_a_retina_net_keeps_neither_its_background_nor_its_gaps():
    logits = "head.classification_head.cls_logits"
    state = with_gap(DENSE, logits)
    state[f"{logits}.weight"] *= 0.1
    state[f"{logits}.bias"] = np.tile([-40.0, 0.0, -40.0, 0.0], 9)
    whole, gapless = (
        from_torchvision(DENSE, state, GAP, labels=n) for n in ("torchvision", "contiguous")
    )
    inputs = mx.nd.random.uniform(0, 255, (1, 3, 64, 96)), mx.nd.array([[64, 96]])
    expected, found = ([a.asnumpy() for a in each.model(*inputs)] for each in (whole, gapless))
    assert gapless.class_names == ("cat", "dog")
    assert set(expected[2][0]) == {1, 3}
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5)
    np.testing.assert_array_equal(found[2] * 2 + 1, expected[2])


def test_rows_of_another_number_are_reported(state):
    state[f"{BOX_DELTAS}bias"] = np.zeros(7)
    tiny.assert_says(refused(SMALL, state), f"{BOX_DELTAS}bias", "(7,)", "(8,)")


def test_91_labels_are_cocos():
    assert len(COCO_LABELS) == 91
    assert [COCO_LABELS[n] for n in (0, 1, 11, 12, 13, 90)] == [
        "__background__",
        "person",
        "fire hydrant",
        "N/A",
        "stop sign",
        "toothbrush",
    ]
    assert tuple(name for name in COCO_LABELS[1:] if name != "N/A") == COCO_CLASSES
    assert len(set(COCO_CLASSES)) == 80


def test_the_two_labels_with_keypoints_are_cocos():
    name = "keypointrcnn_resnet50_fpn"
    state = {key: np.broadcast_to(np.float32(0), s) for key, s in shapes_of(name, 2).items()}
    assert from_torchvision(name, state).class_names == ("person",)
    assert from_torchvision(name, state, ["", "owl"]).class_names == ("owl",)


def test_the_backgrounds_box_deltas_do_not_matter(state):
    (expected,) = from_torchvision(SMALL, state).detect([IMAGE])
    for kind in ("weight", "bias"):
        state[BOX_DELTAS + kind] = state[BOX_DELTAS + kind].copy()
        state[BOX_DELTAS + kind][:4] = 7
    same(from_torchvision(SMALL, state).detect([IMAGE])[0], expected)


def test_names_of_before_0_13(state):
    (expected,) = from_torchvision(SMALL, state).detect([IMAGE])
    old = {}
    for name, array in state.items():
        if "_blocks." in name or name.startswith("rpn.head.conv."):
            parts = name.split(".")
            name = ".".join(parts[:-2] + parts[-1:])
            name = name.replace("rpn.head.conv.0.", "rpn.head.conv.")
        old[name] = array
    assert "backbone.fpn.inner_blocks.0.weight" in old
    assert "rpn.head.conv.weight" in old
    same(from_torchvision(SMALL, old).detect([IMAGE])[0], expected)


@pytest.fixture(scope="module")
def mask_state():
    """Weights of a Mask R-CNN, with three labels."""
    return {name: backbones.filling(name, shape) for name, shape in shapes_of(MASKS, 3).items()}


def parameter(detector, name):
    return detector.model._collect_params_with_prefix()[name].data().asnumpy()


def test_only_classes_have_masks_and_boxes(mask_state):
    detector = from_torchvision(MASKS, mask_state, ["nothing", "N/A", "dog"])
    assert detector.class_names == ("dog",)
    for kind in ("weight", "bias"):
        boxes = parameter(detector, f"roi_head.boxes.{kind}")
        np.testing.assert_allclose(boxes, mask_state[BOX_DELTAS + kind][8:], rtol=1e-6)
        expected = mask_state[f"roi_heads.mask_predictor.mask_fcn_logits.{kind}"][2:]
        found = parameter(detector, f"mask_head.masks.{kind}")
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_mask_heads_names_of_before_0_13(mask_state):
    old = {
        re.sub(
            r"mask_head\.(\d)\.0\.", lambda n: f"mask_head.mask_fcn{int(n[1]) + 1}.", name
        ): array
        for name, array in mask_state.items()
    }
    assert "roi_heads.mask_head.mask_fcn1.weight" in old
    assert "roi_heads.mask_head.mask_fcn4.bias" in old
    detector = from_torchvision(MASKS, old)
    for n in range(4):
        expected = mask_state[f"roi_heads.mask_head.{n}.0.weight"]
        found = parameter(detector, f"mask_head.convs.{n}.0.weight")
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.fixture(scope="module")
def dense_state():
    """Weights of a RetinaNet, with three labels."""
    return {name: backbones.filling(name, shape) for name, shape in shapes_of(DENSE, 3).items()}


def test_a_retina_nets_background_is_a_label_like_the_others(dense_state):
    bias = "head.classification_head.cls_logits.bias"
    state = {**dense_state, bias: np.tile([9.0, -9.0, -9.0], 9)}
    detector = from_torchvision(DENSE, state, ["nothing", "cat", "dog"], labels="torchvision")
    assert detector.class_names == detector.foreground_names == ("nothing", "cat", "dog")
    images, sizes = mx.nd.random.uniform(0, 255, (1, 3, 64, 96)), mx.nd.array([[64, 96]])
    _, scores, labels = (array.asnumpy() for array in detector.model(images, sizes))
    assert labels.shape == (1, 300)
    assert scores[0, 0] > 0.9
    assert labels[0, 0] == 0
    assert from_torchvision(DENSE, state).class_names == ("1", "2")
    tiny.assert_says(refused(DENSE, state, ["cat", "dog"]), "class_names", "expected 3", "found 2")


def test_a_retina_nets_names_of_before_0_13(dense_state):
    old = {
        re.sub(r"_head\.conv\.(\d)\.0\.", lambda n: f"_head.conv.{2 * int(n[1])}.", name): array
        for name, array in dense_state.items()
    }
    assert "head.classification_head.conv.6.weight" in old
    detector = from_torchvision(DENSE, old)
    for n in range(4):
        expected = dense_state[f"head.regression_head.conv.{n}.0.weight"]
        found = parameter(detector, f"head.box_convs.{n}.0.weight")
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def norms(detector):
    return detector.model.backbone.bn1._kwargs["eps"]


def test_frozen_norms_of_the_first_models_have_eps_0():
    assert converter.MODELS[MASKS].frozen_eps == 0
    shapes = shapes_of("fasterrcnn_resnet50_fpn", 2)
    state = {name: np.broadcast_to(np.float32(0.01), shape) for name, shape in shapes.items()}
    counted = {**state, "backbone.body.bn1.num_batches_tracked": np.zeros((), "int64")}
    assert norms(from_torchvision("fasterrcnn_resnet50_fpn", state)) == 0
    assert norms(from_torchvision("fasterrcnn_resnet50_fpn", counted)) == 1e-5
    assert norms(from_torchvision("fasterrcnn_resnet50_fpn", state, norm_eps=1e-3)) == 1e-3


def refused(*args, **kwargs):
    with pytest.raises(WeightsError) as caught:
        from_torchvision(*args, **kwargs)
    return str(caught.value)


def test_a_missing_name_is_named(state):
    del state[STATISTICS]
    message = refused(SMALL, state)
    tiny.assert_says(message, "missing", "1", repr(STATISTICS))


def test_a_superfluous_name_is_named(state):
    state["roi_heads.mask_head.0.0.weight"] = np.zeros((2, 2))
    message = refused(SMALL, state)
    tiny.assert_says(message, "1 more in the file", "'roi_heads.mask_head.0.0.weight'")


def test_another_shape_is_named(state):
    state["rpn.head.cls_logits.bias"] = np.zeros(3)
    message = refused(SMALL, state)
    tiny.assert_says(message, "'rpn.head.cls_logits.bias'", "(3,)", "(15,)")


def test_weights_of_another_network(state):
    del state[CLASS_WEIGHT]
    tiny.assert_says(refused(SMALL, state), SMALL, repr(CLASS_WEIGHT))


def test_class_names_of_another_number(state):
    message = refused(SMALL, state, ["cat", "dog"])
    tiny.assert_says(message, "class_names", "expected 3", "background first", "found 2")


def test_an_unknown_model_has_a_near_match(state):
    message = refused("fasterrcnn_resnet50", state)
    tiny.assert_says(message, "'fasterrcnn_resnet50'", "did you mean 'fasterrcnn_resnet50_fpn'")
    assert SMALL in message


def test_a_safetensors_file_is_read(state, tmp_path):
    (expected,) = from_torchvision(SMALL, state).detect([IMAGE])
    path = safetensors_files.save(tmp_path / "a.safetensors", state)
    (found,) = from_torchvision(SMALL, path).detect([IMAGE])
    same(found, expected)


def test_a_file_that_is_not_there(tmp_path):
    assert str(tmp_path / "none.pth") in refused(SMALL, tmp_path / "none.pth")
