"""What the tests of backbones share: shapes by torchvision's names, weights made from names."""

import hashlib
import zlib

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon

from detkit.naming import torch_name
from detkit.weights import load_weights


def torch_shapes(block):
    """{torchvision's name: shape}."""
    parameters = block._collect_params_with_prefix()
    return {torch_name(name): tuple(p.shape) for name, p in parameters.items()}


def digest(shapes):
    """The first 16 hexadecimal digits of the sha256 of {name: shape}."""
    lines = "\n".join(f"{name} {tuple(shape)}" for name, shape in sorted(shapes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def filling(name, shape):
    """The array that every program gives the parameter of this name and shape."""
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    if len(shape) > 1:
        return rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    if name.endswith("weight"):
        return rng.uniform(0.4, 0.8, shape)
    if name.endswith("running_var"):
        return rng.uniform(0.5, 1.5, shape)
    return rng.standard_normal(shape) * 0.1


def fill(block):
    """Initialise the block with ``filling``."""
    block.initialize()
    load_weights(block, {name: filling(name, s) for name, s in torch_shapes(block).items()})
    return block


def probe(height=97, width=130):
    """Two images of noise."""
    return np.random.RandomState(0).standard_normal((2, 3, height, width)).astype("float32")


def summary(features):
    """Shape, mean, standard deviation and one value of a map; a torch script does the same."""
    features = features if isinstance(features, np.ndarray) else features.asnumpy()
    return features.shape, (features.mean(), features.std(), features[1, 3, -1, -2])


def changed_by_a_step(backbone, images):
    """(names of the parameters, of the statistics) that one training step changes."""
    parameters = backbone._collect_params_with_prefix()
    before = {name: p.data().asnumpy() for name, p in parameters.items()}
    trained = {n: p for n, p in parameters.items() if p.grad_req != "null"}
    # So long a step that no gradient is lost beside its weight.
    trainer = gluon.Trainer(trained, "sgd", {"learning_rate": 100}, kvstore=None)
    with autograd.record():
        total = sum((features**2).mean() for features in backbone(mx.nd.array(images)))
    total.backward()
    trainer.step(1)
    changed = {n for n, p in parameters.items() if (p.data().asnumpy() != before[n]).any()}
    statistics = {name for name in changed if "running" in name}
    return changed - statistics, statistics
