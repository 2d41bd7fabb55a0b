"""Arrays by name into the parameters of a block, in whatever state these are."""

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from detkit.errors import WeightsError
from detkit.weights import load_weights, read_pth
from support.torch_files import WEIGHTS, needs_weights


class Block(nn.HybridBlock):
    """A convolution and a batch norm whose channels wait for the first input."""

    def __init__(self, in_channels=0):
        super().__init__()
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(
                nn.Conv2D(4, 3, in_channels=in_channels),
                nn.BatchNorm(in_channels=4 if in_channels else 0),
            )

    def hybrid_forward(self, F, x):
        return self.features(x)


@pytest.fixture
def state():
    rng = np.random.default_rng(0)
    shapes = {"0.weight": (4, 3, 3, 3), "0.bias": (4,)}
    shapes.update({f"1.{n}": (4,) for n in ("weight", "bias", "running_mean", "running_var")})
    arrays = {f"features.{n}": rng.uniform(1, 2, s).astype("f4") for n, s in shapes.items()}
    return {**arrays, "features.1.num_batches_tracked": np.array(7)}


def values(block):
    return {n: p.data().asnumpy() for n, p in block._collect_params_with_prefix().items()}


def refused(block, state, **options):
    with pytest.raises(WeightsError) as caught:
        load_weights(block, state, **options)
    return str(caught.value)


@pytest.mark.parametrize("initialised", [False, True])
@pytest.mark.parametrize("in_channels", [0, 3])
@pytest.mark.parametrize("grad_req", ["write", "null"])
def test_parameters_take_their_values_in_every_state(state, initialised, in_channels, grad_req):
    block = Block(in_channels)
    block.collect_params().setattr("grad_req", grad_req)
    if initialised:
        block.initialize()
    assert load_weights(block, state) == []
    loaded = values(block)
    np.testing.assert_array_equal(loaded["features.0.weight"], state["features.0.weight"])
    np.testing.assert_array_equal(loaded["features.1.gamma"], state["features.1.weight"])
    np.testing.assert_array_equal(loaded["features.1.beta"], state["features.1.bias"])
    for name in ("features.1.running_mean", "features.1.running_var"):
        np.testing.assert_array_equal(loaded[name], state[name])
    assert block.features[0].weight.grad_req == grad_req
    block.hybridize()
    first = block(mx.nd.ones((2, 3, 5, 5))).asnumpy()
    load_weights(block, {name: array * 2 for name, array in state.items()})
    assert np.abs(block(mx.nd.ones((2, 3, 5, 5))).asnumpy() - first).max() > 0.1
    np.testing.assert_array_equal(values(block)["features.0.bias"], state["features.0.bias"] * 2)


def test_the_loaded_block_computes_what_the_numbers_say(state):
    block = Block(3)
    load_weights(block, state)
    image = np.random.default_rng(1).normal(size=(3, 3, 3)).astype("f4")
    scale, shift, average, variance = (
        state[f"features.1.{n}"] for n in ("weight", "bias", "running_mean", "running_var")
    )
    product = np.einsum("kchw,chw->k", state["features.0.weight"], image)
    expected = product + state["features.0.bias"] - average
    expected = expected / np.sqrt(variance + 1e-5) * scale + shift
    actual = block(mx.nd.array(image[None])).asnumpy().ravel()
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_half_precision_is_turned_into_the_parameters_type(state):
    block = Block()
    load_weights(block, {name: array.astype(np.float16) for name, array in state.items()})
    assert {array.dtype for array in values(block).values()} == {np.dtype(np.float32)}
    half = Block(3)
    half.cast("float16")
    load_weights(half, state)
    assert values(half)["features.0.weight"].dtype == np.float16


def test_values_reach_every_device_of_the_parameters(state):
    block = Block()
    contexts = [mx.cpu(0), mx.cpu(1)]
    block.initialize(ctx=contexts)
    load_weights(block, state)
    for context in contexts:
        actual = block.features[0].bias.data(context)
        assert actual.context == context
        np.testing.assert_array_equal(actual.asnumpy(), state["features.0.bias"])


def test_unused_names_are_returned_sorted(state):
    state.update({"classifier.weight": np.ones(2), "aux": np.ones(1)})
    assert load_weights(Block(), state) == ["aux", "classifier.weight"]
    message = refused(Block(), state, allow_unused=False)
    assert "2 more" in message
    assert "\n  'aux'\n  'classifier.weight'" in message


def test_names_override_the_default_mapping(state):
    state["stem.kernel"] = state.pop("features.0.weight")
    block = Block()
    assert load_weights(block, state, names={"features.0.weight": "stem.kernel"}) == []
    np.testing.assert_array_equal(values(block)["features.0.weight"], state["stem.kernel"])
    message = refused(Block(), state, names={"features.0.wieght": "stem.kernel"})
    assert "'features.0.wieght' (the nearest is 'features.0.weight')" in message


def test_missing_names_are_all_listed_and_nothing_is_changed(state):
    block = Block(3)
    block.initialize()
    before = values(block)
    renamed = {n.replace("features.1", "feature.1"): a for n, a in state.items()}
    message = refused(block, renamed)
    assert "missing in the file: 4" in message
    assert "'features.1.weight' (the nearest is 'feature.1.weight')" in message
    after = values(block)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_long_list_of_missing_names_is_cut_and_counted():
    block = nn.HybridSequential()
    block.add(*(nn.Dense(1, in_units=1) for _ in range(8)))
    message = refused(block, {"x": np.ones(1)})
    assert "missing in the file: 16" in message
    assert message.count("\n") == 11
    assert message.endswith("... and 6 more")


def test_wrong_shapes_are_all_listed(state):
    state["features.0.weight"] = np.ones((4, 3, 5, 5), "f4")
    state["features.0.bias"] = np.ones((4, 1), "f4")
    message = refused(Block(), state)
    assert "found 2 other" in message
    assert "'features.0.weight': expected (4, 0, 3, 3), found (4, 3, 5, 5)" in message
    assert "'features.0.bias': expected (4,), found (4, 1)" in message


def test_values_that_are_not_finite_are_refused(state):
    state["features.0.bias"][2] = np.nan
    state["unused"] = np.full(2, np.nan)
    message = refused(Block(), state)
    assert "finite" in message
    assert message.endswith("\n  'features.0.bias'")


class VGG16Features(nn.HybridBlock):
    """Numbered as torchvision's: a convolution, a ReLU, and a pooling after each of five stages."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.features = nn.HybridSequential()
            for layers, channels in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
                for _ in range(layers):
                    conv = nn.Conv2D(channels, 3, padding=1)
                    self.features.add(conv, nn.Activation("relu"))
                self.features.add(nn.MaxPool2D())

    def hybrid_forward(self, F, x):
        return self.features(x)


@needs_weights
def test_vgg16_takes_torchvisions_convolutions():
    state = read_pth(WEIGHTS / "vgg16_features_fp16.pth")
    block = VGG16Features()
    assert load_weights(block, state, allow_unused=False) == []
    last = block.features[28].weight.data().asnumpy()
    np.testing.assert_array_equal(last, state["features.28.weight"].astype(np.float32))
    features = block(mx.nd.zeros((1, 3, 32, 32)))
    assert features.shape == (1, 512, 1, 1)
    assert np.isfinite(features.asnumpy()).all()
