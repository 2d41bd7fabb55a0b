"""Proposals and postprocessing are parts: a config may name others than detkit's own."""

import mxnet as mx
import pytest
from mxnet.gluon import HybridBlock

from detkit import ops
from detkit.build import build_model, build_train_step
from detkit.config import load_config
from detkit.errors import ConfigError
from detkit.models import DensePostprocess, Postprocess, Proposals
from detkit.plugins import import_plugins
from detkit.registry import DENSE_POSTPROCESS, POSTPROCESS, PROPOSALS
from support import tiny

RETINA_NET = (
    "model={type: RetinaNet, backbone: {type: TinyBackbone}, anchors: {type: AnchorGrid}, "
    "head: {type: RetinaHead, convs: 1, channels: 8}}"
)


@PROPOSALS.register(force=True)
class FirstAnchors(HybridBlock):
    """The first ``count`` anchors, whatever the head says of them."""

    def __init__(self, count: int = 5, box_weights=(1, 1, 1, 1)):
        super().__init__()
        self.count, self.box_weights = count, box_weights

    def hybrid_forward(self, F, anchors, objectness, deltas, sizes):
        scores = F.slice_axis(F.sigmoid(objectness[0]), axis=1, begin=0, end=self.count)
        first = F.slice_axis(anchors[0], axis=1, begin=0, end=self.count)
        return F.broadcast_add(first, F.expand_dims(scores * 0, axis=2)), scores


@POSTPROCESS.register(force=True)
class BestProposal(HybridBlock):
    """The proposal of best score as an object of class 0, where it is."""

    box_weights = (10, 10, 5, 5)

    def hybrid_forward(self, F, proposals, proposal_scores, class_logits, box_deltas, sizes):
        best = F.argmax(proposal_scores, axis=1, keepdims=True)
        boxes = ops.gather_rows(F, proposals, best)
        read = (F.sum(class_logits) + F.sum(box_deltas) + F.sum(sizes)) * 0
        scores = F.broadcast_add(F.max(proposal_scores, axis=1, keepdims=True), read)
        return boxes, scores, scores * 0


def opened(folder, *overrides):
    config = load_config(tiny.project(folder), overrides)
    import_plugins(config)
    return config


def built(folder, *overrides):
    return build_model(opened(folder, *overrides), ("a", "b"), mx.cpu())


def test_without_a_type_they_are_detkits(tmp_path):
    model = built(tmp_path)
    assert type(model.proposals) is Proposals
    assert type(model.postprocess) is Postprocess
    assert type(built(tmp_path, RETINA_NET).postprocess) is DensePostprocess
    named = built(tmp_path, "model.proposals={type: Proposals, post_nms: 9}")
    assert type(named.proposals) is Proposals


def test_a_variant_needs_no_detector_of_its_own(tmp_path, images):
    types = "model.proposals={type: FirstAnchors, count: 3}", "model.postprocess.type=BestProposal"
    model = built(tmp_path, *types)
    assert model.proposals.count == 3
    boxes, scores, labels = model(*map(mx.nd.array, images((64, 64), (40, 64))))
    assert boxes.shape == (2, 1, 4)
    assert (scores.asnumpy() > 0).all()
    assert (labels.asnumpy() == 0).all()


def test_training_proposals_are_of_the_kind_that_the_step_names(tmp_path):
    config = opened(
        tmp_path, "model.proposals.box_weights=[1, 1, 2, 2]", "train_step.proposals={count: 4}"
    )
    model = build_model(config, ("a", "b"), mx.cpu())
    with pytest.raises(ConfigError, match="unknown key 'count'"):
        build_train_step(config, model, 2)
    config["train_step"]["proposals"]["type"] = "FirstAnchors"
    proposals = build_train_step(config, model, 2).proposals
    assert type(proposals) is FirstAnchors
    assert tuple(proposals.box_weights) == (1, 1, 2, 2)
    del config["train_step"]["proposals"]
    assert type(build_train_step(config, model, 2).proposals) is Proposals


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("model.proposals.type=Propsals",), ["proposals.type", "did you mean 'Proposals'?"]),
        (("model.postprocess.type=DensePostprocess",), ["'DensePostprocess'", "BestProposal"]),
        ((RETINA_NET, "model.postprocess.type=Postprocess"), ["'Postprocess'", "DensePostprocess"]),
        (("model.postprocess=5",), ["model.postprocess", "expected a mapping", "5"]),
    ],
)
def test_an_unknown_type_is_explained(tmp_path, overrides, said):
    with pytest.raises(ConfigError) as caught:
        built(tmp_path, *overrides)
    tiny.assert_says(str(caught.value), *said)


def test_they_are_listed(capsys):
    assert tiny.tool("list", "proposals", "postprocess", "dense_postprocess", "nms") == 0
    printed = capsys.readouterr().out
    for name in ("Proposals(pre_nms", "Postprocess(score_floor", "DensePostprocess(score_floor"):
        assert f"\n  {name}" in printed
    assert "\n  gaussian(sigma: float = 0.5" in printed


def test_dense_postprocessing_is_a_kind_of_its_own():
    assert "DensePostprocess" in DENSE_POSTPROCESS.names()
    assert "DensePostprocess" not in POSTPROCESS.names()
