"""The worked example of a plugin: torchvision's names and sizes, its arithmetic, its use."""

import mxnet as mx
import numpy as np
import pytest

from detkit.registry import BACKBONES
from support import tiny
from support.backbones import torch_shapes

FILE = tiny.ROOT / "plugins/examples/squeezenet.py"
WEIGHTS = 722_496  # of torchvision's squeezenet1_1 without its classifier
FIRES = {3: 16, 4: 16, 6: 32, 7: 32, 9: 48, 10: 48, 11: 64, 12: 64}  # {number: squeezed channels}


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """The class, registered by a config that lists the file and that can be trained."""
    overrides = (f"plugins=[{FILE}]", "model.backbone={type: SqueezeNet}")
    with BACKBONES.temporarily():
        config = tiny.project(tmp_path_factory.mktemp("project"))
        assert tiny.tool("train", config, "--dry-run", "--set", *overrides) == 0
        yield BACKBONES.get("SqueezeNet")


def test_it_is_torchvisions_squeezenet1_1(used):
    backbone = used()
    backbone.initialize()
    shapes = torch_shapes(backbone)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == WEIGHTS
    layers = ("squeeze", "expand1x1", "expand3x3")
    names = {f"features.{number}.{layer}" for number in FIRES for layer in layers}
    expected = {f"{name}.{kind}" for name in names for kind in ("weight", "bias")}
    assert set(shapes) == expected | {"features.0.weight", "features.0.bias"}
    for number, squeezed in FIRES.items():
        assert shapes[f"features.{number}.squeeze.weight"][0] == squeezed
        assert shapes[f"features.{number}.expand3x3.weight"] == (4 * squeezed, squeezed, 3, 3)


def test_its_map_has_a_sixteenth_of_the_side(used):
    backbone = used()
    backbone.initialize(mx.init.Xavier())
    backbone.hybridize()
    for height, width in ((64, 96), (32, 64)):
        (features,) = backbone(mx.nd.random.uniform(-2, 2, (2, 3, height, width)))
        assert features.shape == (2, 512, height // 16, width // 16)
        assert np.abs(features.asnumpy()).max() > 0


def test_a_fire_module_by_hand(used):
    fire = used().features[3]
    fire.initialize(mx.init.Normal(0.5))
    x = np.random.default_rng(0).normal(size=(1, 64, 3, 3)).astype(np.float32)
    weights = {name: p.data().asnumpy() for name, p in fire._collect_params_with_prefix().items()}
    squeeze, one, three = (
        weights[f"{name}.weight"] for name in ("squeeze", "expand1x1", "expand3x3")
    )
    few = np.maximum(np.einsum("oi,bihw->bohw", squeeze[:, :, 0, 0], x), 0)
    padded = np.pad(few, ((0, 0), (0, 0), (1, 1), (1, 1)))
    ones = np.einsum("oi,bihw->bohw", one[:, :, 0, 0], few)
    threes = sum(
        np.einsum("oi,bihw->bohw", three[:, :, dy, dx], padded[:, :, dy : dy + 3, dx : dx + 3])
        for dy in range(3)
        for dx in range(3)
    )
    expected = np.maximum(np.concatenate([ones, threes], axis=1), 0)
    np.testing.assert_allclose(fire(mx.nd.array(x)).asnumpy(), expected, rtol=1e-4, atol=1e-4)
