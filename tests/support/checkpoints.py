"""Checkpoints of a small network, to save and to compare."""

from types import SimpleNamespace

import mxnet as mx
import numpy as np
from mxnet import autograd
from mxnet.gluon import nn

from detkit.checkpoints import Branch, Origin, Progress, Spent, load_checkpoint, save_checkpoint
from detkit.runner.optimizer import Optimizer

NAMES = ("cat", "dog")


def options(**changes):
    defaults = {
        "lr": 0.1,
        "optimizer": {"type": "SGD"},
        "momentum": 0.9,
        "weight_decay": 0.01,
        "accumulate": 1,
        "clip_norm": None,
        "multipliers": (),
        "layer_decay": 1.0,
    }
    return SimpleNamespace(**{**defaults, **changes})


def network(units=5):
    block = nn.HybridSequential()
    block.add(nn.Dense(units, in_units=4), nn.BatchNorm(in_channels=units))
    block.initialize(mx.init.Normal(1))
    return block


def trained(units=5):
    """A network and its optimizer after one step."""
    block = network(units)
    optimizer = Optimizer(block, options())
    with autograd.record():
        loss = (block(mx.nd.random.normal(shape=(3, 4))) ** 2).sum()
    loss.backward()
    optimizer.step(1, 0.1)
    return block, optimizer


def save(path, pair, **changes):
    contents = {
        "progress": Progress(7, 2, 1),
        "class_names": NAMES,
        "origin": Origin("seed: 1\n"),
        "metrics": {"AP50": 0.5, "per_class": {"cat": float("nan"), "dog": 0.5}},
        "by_class": {"rule": "COCO", "classes": {}},
        "best": 0.75,
        "stale": 2,
        "spent": Spent(60.5, 2.25, 0.125),
        "branch": Branch("0123456789abcdef"),
    }
    save_checkpoint(str(path), *pair, **{**contents, **changes})


def arrays_of(pair):
    block, optimizer = pair
    named = block._collect_params_with_prefix()
    weights = {name: parameter.data().asnumpy() for name, parameter in named.items()}
    return weights, {name: array.asnumpy() for name, array in optimizer.state().items()}


def assert_holds(path, pair):
    loaded = load_checkpoint(str(path))
    for expected, found in zip(arrays_of(pair), (loaded.weights, loaded.optimizer)):
        assert expected.keys() == found.keys()
        for name in expected:
            np.testing.assert_array_equal(expected[name], found[name].asnumpy(), name)
    return loaded
