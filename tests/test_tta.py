"""Test-time augmentation against the plain detector, and against a loop over its views."""

import cv2
import mxnet as mx
import numpy as np
import pytest

from detkit.data import Resize
from detkit.data.sample import unlabelled
from detkit.data.views import views_of
from detkit.errors import ConfigError
from detkit.models import RCNN, BoxVoting, FastRCNN, MaskRCNN, Postprocess, Proposals
from detkit.models.suppression import GaussianNMS
from detkit.tta import TTA, TTADetector, before_nms
from support import oracles, regions
from support.exports import KINDS, boxes_in, detector_of, photos
from support.kernel_oracles import nms as nms_oracle

OF_BOXES = [kind for kind in KINDS if kind != "RPN"]
FLAT = "boxes", "scores", "labels", "mask_probs", "keypoints", "skeleton"


def assert_equal(found, expected):
    """Lists of Detections agree in every bit."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        assert len(other.boxes) > 2
        assert one.image_size == other.image_size
        assert one.class_names == other.class_names
        assert list(one.skeleton) == list(other.skeleton)
        for name in FLAT:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)


@pytest.mark.parametrize("kind", OF_BOXES)
def test_one_upright_view_is_the_plain_detector(small_model, kind):
    detector = detector_of(KINDS[kind](small_model))
    plain = [detector.detect(image) for image in photos((64, 80), (50, 96))]
    for tta in (TTA(flips=()), TTA(short=40, flips=()), TTA(short=40, long=96, flips=())):
        found = TTADetector(detector, tta).detect(photos((64, 80), (50, 96)))
        assert_equal(found, plain)


def test_one_upright_view_is_the_plain_detector_that_knows_the_scales(small_model):
    model = small_model(proposals=Proposals(200, 20, min_size=12, min_size_of="image"))
    detector, (image,) = detector_of(model), photos((64, 80))
    assert_equal([TTADetector(detector, TTA(flips=())).detect(image)], [detector.detect(image)])


@pytest.mark.parametrize("kind", [FastRCNN, RCNN])
def test_one_upright_view_of_given_proposals_is_the_plain_detector(small_model, kind):
    images = photos((64, 80), (50, 96))
    model = small_model(kind=FastRCNN) if kind is FastRCNN else regions.build()
    detector, boxes = detector_of(model), boxes_in(images)
    plain = [detector.detect(image, of_it) for image, of_it in zip(images, boxes)]
    assert_equal(TTADetector(detector, TTA(flips=())).detect(images, boxes), plain)


@pytest.mark.parametrize("kind", ["FasterRCNN", "MaskRCNN", "RetinaNet"])
def test_the_plain_detector_may_vote_and_have_soft_nms(small_model, kind):
    model = KINDS[kind](small_model)
    how = {"nms": GaussianNMS(), "voting": BoxVoting(0.4)}
    with model.name_scope():
        model.postprocess = type(model.postprocess)(0.1, max_detections=9, **how)
    detector = detector_of(model)
    plain = [detector.detect(image) for image in photos((64, 80))]
    assert_equal(TTADetector(detector, TTA(flips=())).detect(photos((64, 80))), plain)
    with model.name_scope():
        model.postprocess = type(model.postprocess)(0.1, max_detections=9)
    tta = TTA(flips=(), **how)
    assert_equal(TTADetector(detector_of(model), tta).detect(photos((64, 80))), plain)


def test_the_batch_makes_no_difference(small_model):
    detector = TTADetector(detector_of(KINDS["MaskRCNN"](small_model)), TTA([32, 40]))
    images = photos((64, 80), (50, 96), (96, 50))
    assert_equal(detector.detect(images), [detector.detect(image) for image in images])
    assert detector.detect([]) == []


@pytest.mark.parametrize(("flip", "axis"), [("horizontal", 1), ("vertical", 0)])
@pytest.mark.parametrize("kind", ["MaskRCNN", "MaskRCNNC4", "CascadeMaskRCNN", "RetinaNet"])
def test_a_mirrored_image_has_mirrored_detections(small_model, kind, flip, axis):
    (image,) = photos((64, 80))
    detector = TTADetector(detector_of(KINDS[kind](small_model), []), TTA(flips=[flip]))
    plain, turned = detector.detect(image), detector.detect(np.flip(image, axis))
    boxes = mirrored(plain.boxes, image.shape, axis)
    count = len(plain.boxes)
    rows, others = (
        np.column_stack([each, 1000 * one.labels])
        for each, one in ((boxes, plain), (turned.boxes, turned))
    )
    order = [int(np.argmin(np.abs(others - row).sum(axis=1))) for row in rows]
    assert sorted(order) == list(range(count)) and count > 5
    np.testing.assert_allclose(turned.boxes[order], boxes, atol=1e-3)
    np.testing.assert_allclose(turned.scores[order], plain.scores, atol=1e-5)
    np.testing.assert_array_equal(turned.labels[order], plain.labels)
    if plain.mask_probs is not None:
        expected = np.flip(plain.mask_probs, 1 + axis)
        np.testing.assert_allclose(turned.mask_probs[order], expected, atol=1e-4)


def test_mirrored_proposals_are_mirrored_back(small_model):
    (image,) = photos((64, 80))
    detector = TTADetector(detector_of(small_model(kind=FastRCNN), []), TTA())
    (boxes,) = boxes_in([image])
    plain = detector.detect(image, boxes)
    turned = detector.detect(image[:, ::-1], mirrored(boxes, image.shape, 1))
    np.testing.assert_allclose(np.sort(turned.scores), np.sort(plain.scores), atol=1e-5)
    lefts = mirrored(turned.boxes, image.shape, 1)[:, 0]
    np.testing.assert_allclose(np.sort(lefts), np.sort(plain.boxes[:, 0]), atol=1e-3)


def mirrored(boxes, shape, axis):
    low, high = (1, 3) if axis == 0 else (0, 2)
    turned = boxes.copy()
    turned[:, low], turned[:, high] = shape[axis] - boxes[:, high], shape[axis] - boxes[:, low]
    return turned


@pytest.mark.parametrize(
    ("kind", "nms", "voting"),
    [
        ("FasterRCNN", "hard", None),
        ("FasterRCNN", "gaussian", 0.5),
        ("CascadeRCNN", "hard", 0.5),
        ("RetinaNet", "gaussian", None),
    ],
)
def test_views_are_merged_as_by_a_loop(small_model, kind, nms, voting):
    """The plain detector sees each view and suppresses nothing; numpy's NMS and vote come after."""
    (image,) = photos((64, 80))
    model = KINDS[kind](small_model)
    own, how = model.postprocess, {"nms_iou": 0.3, "max_detections": 7}
    fixed = {"score_floor": 0.99 if kind == "RetinaNet" else 0.2, "box_weights": own.box_weights}
    with model.name_scope():
        model.postprocess = type(own)(**fixed)
    if nms == "gaussian":
        how["nms"] = GaussianNMS(0.5, 0.05)
    tta = TTA([40, 56], 96, voting=None if voting is None else BoxVoting(voting), **how)
    found = TTADetector(detector_of(model), tta).detect(image)
    with model.name_scope():
        model.postprocess = type(own)(nms_iou=1.0, max_detections=4000, **fixed)
    views = [seen_by(model, image, *view) for view in ((40, 0), (40, 1), (56, 0), (56, 1))]
    union = [np.concatenate(each)[None].astype("float32") for each in zip(*views)]
    kept = nms_oracle(*union, 0.3, -1, 7, nms, 0.5, 0.05)
    real = kept.scores[0] >= 0
    boxes, scores, labels = (array[0][real] for array in kept[:3])
    if voting is not None:
        boxes = np.array([voted(*each, *union, voting) for each in zip(boxes, labels)])
    assert len(scores) == 7
    np.testing.assert_allclose(found.scores, scores, atol=1e-5)
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_allclose(found.boxes, boxes, atol=2e-3)


def seen_by(model, image, short, flipped):
    """The boxes in pixels of the image, scores and labels of an image resized by OpenCV."""
    scale = min(short / min(image.shape[:2]), 96 / max(image.shape[:2]))
    height, width = (round(side * scale) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    found = detector_of(model, []).detect(small[:, ::-1] if flipped else small)
    boxes = mirrored(found.boxes, small.shape, 1) if flipped else found.boxes
    factors = np.tile([image.shape[1] / width, image.shape[0] / height], 2)
    return boxes * factors, found.scores, found.labels


def voted(box, label, boxes, scores, labels, iou):
    """The mean box of the candidates of a class that overlap ``box``, weighted by their scores."""
    near = [
        (score, other)
        for other, score, kind in zip(boxes[0], scores[0], labels[0])
        if kind == label and oracles.iou(box, other) > iou
    ]
    weights, others = map(np.array, zip(*near))
    return (weights[:, None] * others).sum(axis=0) / weights.sum()


def test_masks_are_the_mean_over_the_views(small_model):
    """With boxes from the merged detections, each view's masks come from the plain network."""
    (image,) = photos((64, 80))
    detector = detector_of(KINDS["MaskRCNN"](small_model), [])
    found = TTADetector(detector, TTA()).detect(image)
    expected = []
    for axis in (None, 1):
        seen = image if axis is None else image[:, ::-1]
        boxes = found.boxes if axis is None else mirrored(found.boxes, image.shape, 1)
        batch = detector.batch([seen])
        arrays = [mx.nd.array(each) for each in (batch.images, batch.sizes)]
        features = detector.model.features(*arrays)
        cells = detector.model.mask_extractor(features, mx.nd.array(boxes[None]))
        logits = detector.model.mask_head(cells, mx.nd.array(found.labels[None]))
        masks = 1 / (1 + np.exp(-logits.asnumpy()[0]))
        expected.append(masks if axis is None else masks[:, :, ::-1])
    np.testing.assert_allclose(found.mask_probs, np.mean(expected, axis=0), atol=1e-5)
    assert found.image_size == (64, 80)
    assert found.masks.shape == (len(found.boxes), 64, 80)


# --- views ----------------------------------------------------------------------------------------


def test_views_have_the_sizes_in_order():
    views = views_of([Resize(40, 90, "torchvision")], [40, 80], None, ["horizontal"], 16)
    (image,) = photos((64, 200))
    seen = [view.batch(unlabelled(image)) for view in views]
    assert [batch.sizes[0].tolist() for batch in seen] == [[28, 90]] * 2 + [[57, 180]] * 2
    wide = views_of([Resize(40, 90)], [40, 80], 100, [], 16)
    seen = [view.batch(unlabelled(image)) for view in wide]
    assert [batch.sizes[0].tolist() for batch in seen] == [[32, 100]] * 2


def test_without_a_resize_a_limit_is_needed():
    (image,) = photos((64, 200))
    with pytest.raises(ValueError, match="long: expected a number of pixels"):
        views_of([], [40], None, [], 16)
    (view,) = views_of([], [40], 400, [], 16)
    assert view.batch(unlabelled(image)).sizes[0].tolist() == [40, 125]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"short": 0}, "short: .*found 0"),
        ({"short": []}, r"short: .*found \[\]"),
        ({"short": [600, 600]}, "short: expected each size once"),
        ({"short": 10**9}, "short: expected 1 to 10000"),
        ({"short": 600, "long": 599}, "long: expected 600"),
        ({"long": 600}, "long: expected null"),
        ({"flips": ["diagonal"]}, "flips: .*diagonal"),
        ({"flips": ["vertical", "vertical"]}, "flips: .*at most once"),
        ({"nms_iou": 0.0}, "nms_iou: "),
        ({"max_detections": 0}, "max_detections: "),
    ],
)
def test_wrong_settings(arguments, said):
    with pytest.raises(ValueError, match=said):
        TTA(**arguments)


# --- what cannot be merged ------------------------------------------------------------------------


def test_an_rpn_is_refused(small_model):
    with pytest.raises(ConfigError, match="tta: .*found RPN"):
        TTADetector(detector_of(KINDS["RPN"](small_model)), TTA())


def test_a_detector_that_goes_on_from_its_boxes_is_refused(small_model):
    class Unknown(MaskRCNN):
        BOXES = None

    plain = KINDS["MaskRCNN"](small_model)
    model = Unknown(**{name: getattr(plain, name) for name in Unknown.PARTS})
    with pytest.raises(ConfigError, match="tta: .*found Unknown"):
        TTADetector(detector_of(model), TTA())


def test_resized_batches_are_refused(small_model):
    detector = detector_of(small_model())
    batch = detector.batch(photos((64, 80)))
    with pytest.raises(ValueError, match="as they are on disk"):
        TTADetector(detector, TTA()).detect_batch(batch)


def test_candidates_are_the_best_before_nms(small_model, images):
    model = small_model(postprocess=Postprocess(0.1, pre_nms=15, max_detections=12))
    arrays = [mx.nd.array(each) for each in images((64, 80), (50, 70))]
    boxes, scores, labels = (array.asnumpy() for array in before_nms(model)(*arrays))
    assert boxes.shape == (2, 15, 4) and labels.shape == (2, 15)
    assert (np.diff(scores, axis=1) <= 0).all() and (scores[scores >= 0] > 0.1).all()
    best = [array.asnumpy() for array in model(*arrays)]
    np.testing.assert_array_equal(boxes[:, 0], best[0][:, 0])
