"""Layer-wise decay of the learning rate: the layers of each backbone, and their updates."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import nn

from detkit.errors import ConfigError
from detkit.models.backbones import VGG, MobileNetV2, ResNet
from detkit.runner.layer_decay import layer_factors
from detkit.runner.optimizer import Optimizer
from detkit.runner.options import TrainOptions
from support.checkpoints import options


def factors(backbone):
    names = [f"backbone.{name}" for name in backbone._collect_params_with_prefix()]
    found = layer_factors([*names, "neck.conv.weight", "roi_head.fc.0.weight"], 0.5)
    assert list(found) == names
    return {name[len("backbone.") :]: factor for name, factor in found.items()}


def test_the_layers_of_a_resnet_are_its_stem_and_its_blocks():
    found = factors(ResNet(50))
    assert len(set(found.values())) == 1 + 3 + 4 + 6
    assert found["conv1.weight"] == found["bn1.gamma"] == min(found.values()) == 0.5**14
    assert found["layer1.0.conv1.weight"] == found["layer1.0.downsample.0.weight"] == 0.5**13
    assert found["layer3.5.bn3.beta"] == max(found.values()) == 0.5


@pytest.mark.parametrize("norm", [None, "BN"])
def test_the_layers_of_a_vgg_are_its_convolutions_with_their_norms(norm):
    found = factors(VGG(16, norm=norm))
    assert sorted(set(found.values())) == [0.5**n for n in range(13, 0, -1)]
    if norm:
        assert found["features.0.weight"] == found["features.1.gamma"] == 0.5**13


def test_the_layers_of_a_mobilenet_are_its_blocks():
    found = factors(MobileNetV2())
    assert found["features.0.0.weight"] == found["features.0.1.beta"] == 0.5**14
    assert found["features.13.conv.0.0.weight"] == found["features.13.conv.3.beta"] == 0.5


def test_a_detector_without_a_backbone_is_refused():
    with pytest.raises(ConfigError, match="train.layer_decay: expected .*backbone.*found none"):
        layer_factors(["rpn_head.conv.weight"], 0.5)


class Small(nn.HybridBlock):
    def __init__(self):
        super().__init__()
        self.backbone = nn.HybridSequential()
        self.backbone.add(*(nn.Dense(3, in_units=3) for _ in range(3)))
        self.head = nn.Dense(2, in_units=3)

    def hybrid_forward(self, F, rows):
        return self.head(self.backbone(rows))


def updates(**choice):
    """The change of each weight by one step of SGD at lr 1."""
    block = Small()
    mx.random.seed(5)
    block.initialize(mx.init.Normal(0.5))
    named = block._collect_params_with_prefix()
    block.backbone[0].collect_params().setattr("grad_req", "null")
    before = {name: p.data().asnumpy() for name, p in named.items()}
    optimizer = Optimizer(block, options(momentum=0.0, **choice))
    with autograd.record():
        loss = (block(mx.nd.ones((4, 3))) ** 2).sum()
    loss.backward()
    optimizer.step(1, 1.0)
    return {name: p.data().asnumpy() - before[name] for name, p in named.items()}


def test_updates_shrink_from_layer_to_layer():
    plain, decayed = updates(), updates(layer_decay=0.5)
    both = updates(layer_decay=0.5, multipliers=[{"match": r"\.bias$", "lr": 2.0}])
    layers = {"backbone.0": 0, "backbone.1": 0.25, "backbone.2": 0.5, "head": 1}
    for name, change in plain.items():
        factor = layers[name.rpartition(".")[0]]
        np.testing.assert_allclose(decayed[name], factor * change, rtol=1e-4, atol=1e-6)
        factor *= 2 if name.endswith("bias") else 1
        np.testing.assert_allclose(both[name], factor * change, rtol=1e-4, atol=1e-6)
    moved = {name.rpartition(".")[0] for name, change in decayed.items() if change.any()}
    assert moved == {"backbone.1", "backbone.2", "head"}  # frozen layers count, and stay


@pytest.mark.parametrize("wrong", [0, -0.1, 1.01, float("nan")])
def test_a_factor_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match="layer_decay: expected .*above 0, at most 1, found"):
        TrainOptions(batch_size=1, lr=0.1, schedule={}, epochs=1, layer_decay=wrong)
