"""How class logits become scores: by softmax or by sigmoid, as the class loss has trained them."""

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

import detkit
from detkit.build.training import Training
from detkit.checkpoints import find_checkpoints
from detkit.config import load_config
from detkit.errors import ConfigError
from detkit.models import Postprocess
from detkit.models.roi_heads import FCHead
from detkit.plugins import import_plugins
from support import tiny
from support.cascades import cascade
from support.exports import assert_same, exported, photos

BINARY_LOSS = "train_step.roi_loss={class: {type: SigmoidFocal}, box: {type: L1}}"
SIGMOID = "model.postprocess={scores: sigmoid, score_floor: 0.01}"
TWO_STAGES = (
    "model.type=CascadeRCNN",
    "model.roi_heads=[{type: FCHead, hidden: [8]}, {type: FCHead, hidden: [8]}]",
    "model.roi_head=null",
    "model.refine={box_weights: [[10, 10, 5, 5]]}",
)
ROI_TARGETS = (
    "{assigner: {type: MaxIoUAssigner, best_for_object: false}, "
    "sampler: {type: RandomSampler, size: 8}}"
)


def training(folder, *overrides):
    config = load_config(tiny.project(folder), overrides)
    import_plugins(config)
    return Training(config)


def sigmoid(logits):
    return 1 / (1 + np.exp(-np.asarray(logits, "float64")))


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("how", ["sigmoid", "svm"])
def test_scores_by_sigmoid_are_of_each_class_alone(how, hybridized):
    rois = np.array([[[0, 0, 9, 9], [20, 20, 30, 40]]])
    logits = np.array([[3.0, 1.0, -1.0], [-90.0, 0.5, 2.0]])  # the background's first
    block = Postprocess(scores=how, score_floor=0.0)
    if hybridized:
        block.hybridize()
    arrays = (rois, np.ones((1, 2)), logits, np.zeros((2, 1, 4)), [[50, 50]])
    _, scores, labels = (array.asnumpy()[0] for array in block(*map(mx.nd.array, arrays)))
    assert labels[:4].tolist() == [1, 0, 0, 1]
    np.testing.assert_allclose(scores[:4], sigmoid([2.0, 1.0, 0.5, -1.0]), rtol=1e-5)


def test_other_ways_to_score_are_refused():
    with pytest.raises(ValueError, match="scores: .*'softmax', 'sigmoid' or 'svm'.*'argmax'"):
        Postprocess(scores="argmax")


def test_a_cascade_takes_the_mean_of_its_heads_probabilities(small_model, images):
    """Heads of constant logits: whatever the RoI, the scores are known."""
    logits = np.array([[0, 2, -1, -200], [5, -3, 1, -200]], "float32")
    heads = nn.HybridSequential()
    for row in logits:
        head = FCHead(8, 3, 3, hidden=[4], dropout=0, class_agnostic=True)
        head.initialize()
        head.classes.weight.set_data(mx.nd.zeros((4, 4)))
        head.classes.bias.set_data(mx.nd.array(row))
        heads.add(head)
    post = Postprocess(0.01, max_detections=300, scores="sigmoid", box_weights=(20, 20, 10, 10))
    model = cascade(small_model(), stages=2, roi_heads=heads, postprocess=post)
    _, scores, labels = (array.asnumpy() for array in model(*map(mx.nd.array, images((64, 48)))))
    found = {label: set(scores[labels == label].round(5)) for label in (0, 1)}
    assert found == {k: {np.float32(sigmoid(logits[:, 1 + k]).mean().round(5))} for k in (0, 1)}
    assert set(labels[0]) <= {0, 1, -1}


@pytest.mark.parametrize("ops", ["mxnet", pytest.param("native", marks=pytest.mark.processor)])
@pytest.mark.parametrize("stages", [None, 2])
def test_an_exported_detector_scores_as_it_was_trained(small_model, tmp_path, ops, stages):
    options = {"scores": "sigmoid", "max_detections": 12}
    if stages:
        post = Postprocess(0.5, box_weights=(20, 20, 10, 10), **options)
        model = cascade(small_model(), stages=stages, postprocess=post)
    else:
        model = small_model(postprocess=Postprocess(0.5, **options))
    detector = exported(model, tmp_path, ops)
    images = photos((64, 80), (50, 96))
    assert_same(detkit.load_exported(tmp_path).detect(images), detector.detect(images))


# --- the loss and the scores ----------------------------------------------------------------------


def test_a_class_loss_that_trains_other_scores_is_refused(tmp_path):
    with pytest.raises(ConfigError) as caught:
        training(tmp_path, BINARY_LOSS)
    message = str(caught.value)
    tiny.assert_says(message, "train_step.roi_loss.class", "SigmoidFocal", "sigmoid")
    tiny.assert_says(message, "model.postprocess.scores", "softmax", "scores: sigmoid")
    with pytest.raises(ConfigError) as caught:
        training(tmp_path, SIGMOID)
    message = str(caught.value)
    tiny.assert_says(message, "train_step.roi_loss.class", "CrossEntropy", "softmax")
    tiny.assert_says(message, f"--set {SIGMOID}: model.postprocess.scores", "SigmoidBCE")
    with pytest.raises(ConfigError) as caught:
        training(tmp_path, BINARY_LOSS.replace("Sigmoid", "Softmax"), SIGMOID)
    tiny.assert_says(str(caught.value), "SoftmaxFocal", "'softmax'", "found 'sigmoid'")


def test_each_stage_of_a_cascade_is_looked_at(tmp_path):
    losses = "{box: {type: L1}}, {box: {type: L1}, class: {type: SigmoidBCE}}"
    with pytest.raises(ConfigError, match="roi_loss.1.class"):
        training(
            tmp_path,
            *TWO_STAGES,
            f"train_step.roi_targets=[{ROI_TARGETS}, {ROI_TARGETS}]",
            f"train_step.roi_loss=[{losses}]",
        )


def test_a_detector_trained_by_a_binary_loss_is_tested_by_sigmoid(tmp_path):
    """The score of every detection is the sigmoid of a class logit, and not the softmax's."""
    trained = training(tmp_path, BINARY_LOSS, SIGMOID, "train.epochs=1", "train.pictures=0")
    trained.runner(str(tmp_path / "run")).run()
    (checkpoint,) = find_checkpoints(str(tmp_path / "run/checkpoints"))
    detector = detkit.load(tmp_path / "run/config.yaml", checkpoint, device="cpu")
    image = trained.val_set.image(0)
    model, batch = detector.model, detector.batch([image])
    images, sizes = mx.nd.array(batch.images), mx.nd.array(batch.sizes)
    features = model.features(images, sizes)
    rois, _ = model.proposals(model.anchors(features), *model.rpn_head(features), sizes)
    logits, _ = model.roi_head(model.roi_extractor(features, rois))
    possible = sigmoid(logits.asnumpy()[:, 1:]).ravel()
    found = detector.detect(image)
    assert len(found.scores) > 0
    assert np.abs(found.scores[:, None] - possible).min(axis=1).max() < 1e-5


def test_a_checkpoint_whose_loss_trained_other_scores_is_not_used(tmp_path):
    """Before there was a choice, such were tested by softmax."""
    trained = training(tmp_path, BINARY_LOSS, SIGMOID, "train.epochs=1", "train.pictures=0")
    trained.runner(str(tmp_path / "run")).run()
    (checkpoint,) = find_checkpoints(str(tmp_path / "run/checkpoints"))
    before = load_config(tmp_path / "run/config.yaml", ["model.postprocess.scores=softmax"])
    with pytest.raises(ConfigError, match=r"model\.postprocess\.scores"):
        detkit.load(before, checkpoint, device="cpu")
