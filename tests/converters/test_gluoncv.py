"""from_gluoncv against GluonCV itself: the same weights and image, the same detections."""

import zlib

import mxnet as mx
import numpy as np
import pytest

import detkit.converters.gluoncv as converter
from detkit.build import build_model, build_transforms, pad_multiple_of
from detkit.converters import from_gluoncv
from detkit.converters.recipes import load_recipe
from detkit.data import Sample, apply
from detkit.errors import WeightsError
from detkit.weights import load_weights
from support import tiny
from support.oracles import iou_matrix

VOC, COCO, FPN, MASK = converter.MODELS
ROIS = {VOC: 30, COCO: 20, FPN: 100, MASK: 40}  # instead of 300 and 1000, which would take minutes
MASKS = 40
HEIGHT, WIDTH = 200, 280

# The last layers are wide, so that scores spread, and deltas that the proposals need are small.
SCALES = {
    "class_predictor.": 2.5,
    "box_predictor.": 1.5,
    "rpn.loc.": 0.15,
    "rpn.rpn_head.loc.": 0.15,
}


@pytest.fixture(scope="module")
def image():
    coarse = np.random.RandomState(0).randint(0, 256, (HEIGHT // 8, WIDTH // 8, 3))
    return coarse.astype("uint8").repeat(8, axis=0).repeat(8, axis=1)


@pytest.fixture(scope="module")
def gluoncv():
    return pytest.importorskip("gluoncv", reason="GluonCV is not installed")


def filling(name, shape):
    """Weights made from their name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("gamma"):
        return rng.uniform(0.4, 0.8, shape).astype("float32")
    if name.endswith("running_var"):
        return rng.uniform(0.5, 1.5, shape).astype("float32")
    values = rng.standard_normal(shape, "float32")
    if len(shape) == 1:
        return values * 0.1
    scale = next((scale for part, scale in SCALES.items() if name.startswith(part)), 1.4)
    return values * (scale / np.sqrt(np.prod(shape[1:]))).astype("float32")


def state_of(name, classes):
    """Weights by GluonCV's names, of the shapes of ours."""
    labels = [str(number) for number in range(classes)]
    model = build_model(load_recipe(name), labels, mx.cpu(), pretrained=False)
    parameters = model._collect_params_with_prefix()
    names = converter.gluoncv_names(name, model)
    state = {theirs: filling(theirs, parameters[ours].shape) for ours, theirs in names.items()}
    if name in (VOC, COCO):
        state["class_predictor.weight"] *= 4  # means over a RoI's cells are much alike
    return state


def network(gluoncv, name, state):
    """GluonCV's network. Its weights must have the names and shapes of ``state``."""
    net = gluoncv.model_zoo.get_model(name, pretrained=False, pretrained_base=False)
    net.initialize()
    load_weights(net, state, {key: key for key in state}, allow_unused=False)
    net._rpn_test_post_nms = net.rpn._test_post_nms = ROIS[name]
    if name == MASK:
        net._rcnn_max_dets = MASKS
    return net


def theirs(gluoncv, net, image, monkeypatch):
    """Labels, scores, boxes and, of Mask R-CNN, masks that GluonCV finds."""
    # On a CPU MXNet's ROIAlign leaves memory as it was for RoIs of an image -1, by which GluonCV
    # pools from several levels. Where this operator is missing it goes another way.
    monkeypatch.delattr(mx.nd.contrib, "box_encode")
    pixels = mx.nd.image.to_tensor(mx.nd.array(image, dtype="uint8"))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    outputs = net(mx.nd.image.normalize(pixels, mean, std).expand_dims(0))
    labels, scores, boxes, *masks = (output[0].asnumpy() for output in outputs)
    found = labels[:, 0] >= 0
    return (labels[found, 0], scores[found, 0], boxes[found], *(each[found] for each in masks))


def ours(name, state, image, monkeypatch):
    def small_recipe(recipe):
        config = load_recipe(recipe)
        config["model"]["proposals"].put("post_nms", ROIS[name], "test")
        if name == MASK:
            config["model"]["postprocess"].put("max_detections", MASKS, "test")
        return config

    monkeypatch.setattr(converter, "load_recipe", small_recipe)
    detector = from_gluoncv(name, state, device="cpu")
    detector.transforms = []  # the image as it is: test_images_are_prepared_as_gluoncv_does
    return detector.detect([image])[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Cannot decide type:UserWarning")
@pytest.mark.parametrize("name", converter.MODELS)
def test_the_same_detections(gluoncv, image, monkeypatch, name):
    state = state_of(name, 20 if name == VOC else 80)
    net = network(gluoncv, name, state)
    found = ours(name, state, image, monkeypatch)
    labels, scores, boxes, *masks = theirs(gluoncv, net, image, monkeypatch)
    assert found.class_names == tuple(net.classes)
    assert len(found.boxes) == len(boxes) >= 30
    assert len(set(labels)) > 2
    assert scores.max() - scores.min() > 0.15
    same = iou_matrix(boxes, found.boxes) >= 0.99
    same &= labels[:, None] == found.labels
    same &= np.abs(scores[:, None] - found.scores) <= 1e-3
    assert same.any(axis=0).mean() >= 0.98
    assert same.any(axis=1).mean() >= 0.98
    if name == MASK:
        pairs = [(row, np.flatnonzero(ok)[0]) for row, ok in enumerate(same) if ok.any()]
        gaps = [np.abs(masks[0][row] - found.mask_probs[own]).mean() for row, own in pairs]
        assert max(gaps) < 1e-3
        assert masks[0].std() > 0.1


def prepared(name, image):
    """An image of the size and with the pixels that the network of a recipe looks at."""
    config = load_recipe(name)
    assert pad_multiple_of(config) == 1
    nothing = np.zeros((0, 4), "float32"), np.zeros(0, "int32"), np.zeros(0, bool)
    sample = Sample("", image, *nothing)
    return apply(build_transforms(config, "val"), sample, np.random.default_rng(0)).image


@pytest.mark.parametrize(("name", "short", "long"), [(VOC, 600, 1000), (MASK, 800, 1333)])
@pytest.mark.parametrize("size", [(45, 61), (30, 75)])
def test_images_are_prepared_as_gluoncv_does(gluoncv, name, short, long, size):
    coarse = np.random.RandomState(1).randint(0, 256, (size[0] // 5, size[1] // 5, 3))
    image = mx.image.imresize(mx.nd.array(coarse, dtype="uint8"), *size[::-1])
    found = prepared(name, image.asnumpy())
    _, expected = gluoncv.data.transforms.presets.rcnn.transform_test(image, short, long)
    np.testing.assert_array_equal(found, expected)


# --- refused files -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_classes():
    return state_of(FPN, 2)


@pytest.fixture
def state(two_classes):
    return dict(two_classes)


def refused(*args, **kwargs):
    with pytest.raises(WeightsError) as caught:
        from_gluoncv(*args, **kwargs)
    return str(caught.value)


def test_a_file_of_save_parameters(state, tmp_path):
    path = tmp_path / "fpn.params"
    anchors = {f"rpn.anchor_generator.{n}.anchors": np.zeros((1, 1, 4, 4, 12)) for n in range(5)}
    arrays = {key: mx.nd.array(array) for key, array in {**state, **anchors}.items()}
    mx.nd.save(str(path), arrays)
    model = from_gluoncv(FPN, path, ["cat", "dog"], device="cpu").model
    weights = model._collect_params_with_prefix()
    for name, theirs in converter.gluoncv_names(FPN, model).items():
        np.testing.assert_array_equal(weights[name].data().asnumpy(), state[theirs], name)


def test_classes_without_names_are_numbers(state):
    assert from_gluoncv(FPN, state, device="cpu").class_names == ("0", "1")


def test_a_missing_name_is_named(state):
    del state["features.P6_conv1_bias"]
    message = refused(FPN, state)
    tiny.assert_says(message, "missing", "1", "'features.P6_conv1_bias'")


def test_a_superfluous_name_is_named(state):
    state["mask.mask.bias"] = np.zeros(2)
    message = refused(FPN, state)
    tiny.assert_says(message, "1 more in the file", "'mask.mask.bias'")


def test_another_shape_is_named(state):
    state["rpn.rpn_head.score.bias"] = np.zeros(15)
    message = refused(FPN, state)
    tiny.assert_says(message, "'rpn.rpn_head.score.bias'", "(15,)", "(3,)")


def test_weights_of_another_model(state):
    tiny.assert_says(refused(MASK, state), "missing", "'mask.")


def test_weights_of_no_detector(state):
    message = refused(FPN, {"features.0.weight": np.zeros(3)})
    tiny.assert_says(message, FPN, "'class_predictor.weight'")


def test_class_names_of_another_number(state):
    assert refused(FPN, state, ["cat"]) == (
        "class_names: expected 2 names, one for each class of the weights, without the background, "
        "found 1"
    )


def test_an_unknown_model_has_a_near_match(state):
    message = refused("faster_rcnn_fpn_resnet50_v1b_voc", state)
    tiny.assert_says(message, "'faster_rcnn_fpn_resnet50_v1b_voc'", f"did you mean '{FPN}'")


def test_a_file_that_is_not_there(tmp_path):
    assert str(tmp_path / "none.params") in refused(FPN, tmp_path / "none.params")


def test_a_damaged_file(state, tmp_path):
    path = tmp_path / "damaged.params"
    mx.nd.save(str(path), {"class_predictor.weight": mx.nd.ones((3, 4))})
    path.write_bytes(path.read_bytes()[:70])
    message = refused(FPN, path)
    tiny.assert_says(message, f"{path}: ", "48 more bytes")
