"""Mask R-CNN on C4: its masks share the trunk of the boxes, in one graph and in training."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import HybridBlock

from detkit.build.model import build_model
from detkit.config import load_config
from detkit.errors import ConfigError
from detkit.losses import MaskLoss
from detkit.models import FasterRCNN, MaskRCNN, Proposals
from detkit.models.roi_heads import FCMaskHead
from detkit.naming import torch_name
from detkit.targets import OHEM, MaskTargets, MaxIoUAssigner, RandomSampler, RoITargets
from detkit.train_steps import MaskRCNNC4TrainStep, MaskRCNNTrainStep
from support import backbones, oracles
from support.detecting import agrees, assert_same, detect, exported
from support.exports import mask_rcnn_c4
from support.steps import (
    BOXES,
    LABELS,
    MASKS,
    ROI_WEIGHTS,
    SIZES,
    gradients,
    step_parts,
)


class Whole(HybridBlock):
    """A trunk and a mask head in one: the mask head of a MaskRCNN that shares nothing."""

    def __init__(self, roi_head, mask_head):
        super().__init__()
        self.size = mask_head.size
        with self.name_scope():
            self.layer4, self.mask_head = roi_head.layer4, mask_head

    def hybrid_forward(self, F, roi_features, labels):
        return self.mask_head(self.layer4(roi_features), labels)


def unshared(model):
    """The MaskRCNN of the same parts, which pools and computes the RoIs of the masks anew."""
    parts = {name: getattr(model, name) for name in FasterRCNN.PARTS}
    head = Whole(model.roi_head, model.mask_head)
    return MaskRCNN(**parts, mask_extractor=model.roi_extractor, mask_head=head)


def step_of(kind, model, rois=12, **parts):
    targets = MaskTargets(model.mask_head.size, rois)
    parts = {**step_parts(), **parts}
    return kind(model, mask_targets=targets, mask_loss=MaskLoss(), **parts)


def batch_of(images, labels=LABELS):
    arrays = (*images(*SIZES, canvas=(64, 80)), BOXES, labels, MASKS)
    return [mx.nd.array(array, dtype=array.dtype) for array in arrays]


def losses_of(step, batch):
    with autograd.record():
        return step(*batch)


def on_c5(classes, **options):
    return FCMaskHead(512, 2, num_classes=classes, hidden=[9], size=5, **options)


@pytest.mark.parametrize("head", ["MaskHead", "FCMaskHead"])
def test_imperative_hybridized_and_each_row_alone_agree(small_model, images, head):
    parts = {"mask_head": on_c5(3)} if head == "FCMaskHead" else {}
    imperative = agrees(mask_rcnn_c4(small_model, **parts), *images((64, 48), (40, 80), (64, 80)))
    side = 5 if parts else 4
    assert imperative[3].shape == (3, 12, side, side)
    assert 0 <= imperative[3].min() < imperative[3].max() <= 1


def test_detections_are_those_of_a_mask_rcnn_that_shares_nothing(small_model, images):
    model = mask_rcnn_c4(small_model)
    batch = images((64, 48), (40, 80))
    assert_same(detect(model, *batch), detect(unshared(model), *batch))


def test_masks_are_numpys(small_model, images):
    model = mask_rcnn_c4(small_model)
    pixels, sizes = images((64, 48), (40, 80))
    boxes, scores, labels, probabilities = detect(model, pixels, sizes)
    assert (scores >= 0).sum() > 3
    features = model.features(mx.nd.array(pixels), mx.nd.array(sizes))[0].asnumpy()
    values = {
        torch_name(n): p.data().asnumpy() for n, p in model._collect_params_with_prefix().items()
    }
    for image, row in list(zip(*np.nonzero(scores >= 0)))[::3]:
        pooled = oracles.roi_align(features[image], boxes[image, row], 4, 8, 2, True)
        cells = model.roi_head.layer4(mx.nd.array(pooled[None])).asnumpy()[0]
        label, logits = int(labels[image, row]), np.zeros((4, 4))
        for y, x in np.ndindex(2, 2):
            hidden = np.einsum("chw,cd->dhw", cells, values["mask_head.deconv.weight"][:, :, y, x])
            hidden = np.maximum(hidden + values["mask_head.deconv.bias"][:, None, None], 0)
            kernel = values["mask_head.masks.weight"][label, :, 0, 0]
            logits[y::2, x::2] = np.einsum("dhw,d->hw", hidden, kernel)
        expected = 1 / (1 + np.exp(-logits - values["mask_head.masks.bias"][label]))
        np.testing.assert_allclose(probabilities[image, row], expected, atol=1e-4)


def test_the_exported_graph_gives_masks_at_every_size(small_model, images, tmp_path):
    model = mask_rcnn_c4(small_model)
    again = exported(model, tmp_path, *images((32, 32)))
    for sizes in ([(64, 48), (40, 80)], [(24, 100)]):
        batch = images(*sizes)
        assert_same(detect(again, *batch), detect(model, *batch))


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("rois", [3, None])
def test_losses_and_gradients_are_those_without_sharing(small_model, images, hybridized, rois):
    model, batch = mask_rcnn_c4(small_model), batch_of(images)
    both = {MaskRCNNC4TrainStep: model, MaskRCNNTrainStep: unshared(model)}
    found = []
    for kind, network in both.items():
        step = step_of(kind, network, rois)
        if hybridized:
            network.hybridize()
            step.hybridize()
        losses = losses_of(step, batch)
        autograd.backward(list(losses.values()))
        found.append(({name: loss.asscalar() for name, loss in losses.items()}, gradients(model)))
    (losses, grads), (expected, others) = found
    assert list(losses)[-1] == "mask" and 0.3 < losses["mask"] < 3
    assert losses == pytest.approx(expected, rel=1e-4)
    for name, gradient in grads.items():
        assert np.abs(gradient).max() > 0, name
        scale = np.abs(others[name]).max()
        np.testing.assert_allclose(gradient, others[name], rtol=0, atol=1e-3 * scale, err_msg=name)


def test_its_proposals_get_the_scales(small_model, images):
    model, batch, losses = mask_rcnn_c4(small_model), batch_of(images), []
    for smallest, of, scales in ((8, "input", []), (4, "image", [mx.nd.full((2, 2), 2)])):
        proposals = Proposals(200, 30, min_size=smallest, min_size_of=of)
        step = step_of(MaskRCNNC4TrainStep, model, proposals=proposals)
        assert ("scales" in step.INPUTS) == bool(scales)
        found = losses_of(step, [*batch, *scales])
        losses.append({name: loss.asscalar() for name, loss in found.items()})
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_images_without_objects_train(small_model, images):
    model = mask_rcnn_c4(small_model)
    step = step_of(MaskRCNNC4TrainStep, model)
    losses = losses_of(step, batch_of(images, np.full_like(LABELS, -1)))
    autograd.backward(list(losses.values()))
    assert losses["mask"].asscalar() == 0
    assert all(np.isfinite(gradient).all() for gradient in gradients(model).values())


def test_a_sampler_that_needs_losses_gets_them(small_model, images):
    """A sample of every RoI has all losses of the RoIs, whoever chose it."""
    model, batch = mask_rcnn_c4(small_model), batch_of(images)
    assigner = MaxIoUAssigner(0.5, 0.5, best_for_object=False)
    totals = []
    for sampler in (RandomSampler(10000, 1), OHEM(10000, iou=1.0)):
        targets = RoITargets(assigner, sampler, ROI_WEIGHTS)
        losses = losses_of(step_of(MaskRCNNC4TrainStep, model, roi_targets=targets), batch)
        totals.append([losses[name].asscalar() for name in ("roi_class", "roi_box", "mask")])
    assert totals[0] == pytest.approx(totals[1], rel=1e-4)


C4 = """
model:
  type: MaskRCNNC4
  backbone: {type: ResNet, depth: 18, out_strides: [16]}
  anchors: {type: AnchorGrid, sizes: [32]}
  rpn_head: {type: RPNHead, channels: 16}
  proposals: {pre_nms: 20, post_nms: 5}
  roi_extractor: {type: RoIAlign, size: 7}
  roi_head: {type: Res5Head, depth: 18, stride: STRIDE}
  mask_head: {type: MaskHead, convs: 0}
  postprocess: {score_floor: 0.0}
"""


@pytest.mark.parametrize(("stride", "side"), [(1, 14), (2, 8)])
def test_the_mask_head_of_a_config_gets_the_width_and_the_side_of_the_trunk(tmp_path, stride, side):
    path = tmp_path / "c4.yaml"
    path.write_text(C4.replace("STRIDE", str(stride)))
    model = build_model(load_config(path), ("a", "b"), mx.cpu())
    assert backbones.torch_shapes(model.mask_head)["deconv.weight"] == (512, 256, 2, 2)
    masks = model(mx.nd.ones((1, 3, 64, 96)), mx.nd.array([[64, 96]]))[3]
    assert masks.shape[2:] == (side, side) == (model.mask_head.size,) * 2


def test_a_roi_head_without_a_trunk_is_refused(tmp_path):
    path = tmp_path / "c4.yaml"
    path.write_text(C4.replace("{type: Res5Head, depth: 18, stride: STRIDE}", "{type: FCHead}"))
    with pytest.raises(ConfigError) as caught:
        build_model(load_config(path), ("a", "b"), mx.cpu())
    message = str(caught.value)
    assert f"{path}:9: model.roi_head.type: expected a RoI head whose trunk" in message
    assert "'mask_head'" in message and "'Res5Head'" in message and "found 'FCHead'" in message
