"""Optimizers: SGD, Adam and AdamW against numpy, with clipping, multipliers and accumulation."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import nn

from detkit.config import Node
from detkit.errors import CheckpointError, ConfigError
from detkit.runner.optimizer import Optimizer
from support.checkpoints import options

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(4, 2)).astype("float32")


def network(frozen=False):
    block = nn.HybridSequential()
    block.add(nn.Dense(3, in_units=3, activation="tanh"), nn.Dense(2, in_units=3))
    mx.random.seed(5)
    block.initialize(mx.init.Normal(0.5))
    if frozen:
        block[0].collect_params().setattr("grad_req", "null")
    return block


def backward(block, rows):
    """The gradient of the mean squared error over some rows."""
    with autograd.record():
        error = block(mx.nd.array(X[rows])) - mx.nd.array(Y[rows])
        loss = (error**2).mean()
    loss.backward()


def values(block):
    named = block._collect_params_with_prefix()
    return {name: parameter.data().asnumpy() for name, parameter in named.items()}


def gradients(block):
    named = block._collect_params_with_prefix()
    return {name: parameter.grad().asnumpy() for name, parameter in named.items()}


def assert_equal(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name in one:
        if tolerance:
            np.testing.assert_allclose(one[name], other[name], err_msg=name, **tolerance)
        else:
            np.testing.assert_array_equal(one[name], other[name], name)


def test_steps_are_sgd_with_momentum_and_weight_decay():
    block = network()
    optimizer = Optimizer(block, options())
    expected = values(block)
    momenta = {name: np.zeros_like(value) for name, value in expected.items()}
    for number, lr in enumerate((0.1, 0.3, 0.03), start=1):
        backward(block, slice(None))
        for name, gradient in gradients(block).items():
            decayed = gradient + 0.01 * expected[name]
            momenta[name] = 0.9 * momenta[name] - lr * decayed
            expected[name] = expected[name] + momenta[name]
        optimizer.step(number, lr)
        assert_equal(values(block), expected, rtol=1e-5, atol=1e-6)


def test_multipliers_scale_lr_and_decay_of_matching_weights():
    nodes = [{"match": r"\.bias$", "lr": 2.0, "decay": 0.0}, {"match": "^1", "lr": 0.0}]
    block = network()
    before = values(block)
    optimizer = Optimizer(block, options(momentum=0.0, multipliers=nodes))
    backward(block, slice(None))
    grads = gradients(block)
    optimizer.step(1, 0.1)
    after = values(block)
    weight = before["0.weight"]
    np.testing.assert_allclose(
        after["0.weight"], weight - 0.1 * (grads["0.weight"] + 0.01 * weight), rtol=1e-5
    )
    np.testing.assert_allclose(after["0.bias"], before["0.bias"] - 0.2 * grads["0.bias"], rtol=1e-5)
    # The later entry wins, with its own factor and the default of the other.
    for name in ("1.weight", "1.bias"):
        np.testing.assert_array_equal(after[name], before[name])


def test_a_multiplier_that_matches_nothing_is_an_error():
    node = Node("train.multipliers.0", "a.yaml:9")
    node.update(match="^backbone", lr=0.1)
    with pytest.raises(ConfigError) as caught:
        Optimizer(network(), options(multipliers=[node]))
    assert str(caught.value) == (
        "a.yaml:9: train.multipliers.0.match: expected an expression that matches the name of a "
        "trained weight, found '^backbone'; names look like '0.weight'"
    )


def test_a_multiplier_that_is_no_expression_is_an_error():
    with pytest.raises(ConfigError, match=r"match: .*regular expression.*'\('.*missing"):
        Optimizer(network(), options(multipliers=[{"match": "("}]))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_clipping_scales_all_gradients_to_one_norm(accumulate):
    block = network()
    before = values(block)
    clipped = options(momentum=0.0, weight_decay=0.0, clip_norm=0.01, accumulate=accumulate)
    optimizer = Optimizer(block, clipped)
    for number in range(1, accumulate + 1):
        backward(block, slice(None))
        optimizer.step(number, 1.0)
    after = values(block)
    moved = np.sqrt(sum(np.sum((after[name] - before[name]) ** 2) for name in before))
    assert moved == pytest.approx(0.01, rel=1e-4)


def test_a_small_gradient_is_not_clipped():
    blocks = network(), network()
    for block, clip_norm in zip(blocks, (None, 1e6)):
        optimizer = Optimizer(block, options(clip_norm=clip_norm))
        backward(block, slice(None))
        optimizer.step(1, 0.1)
    assert_equal(*map(values, blocks))


@pytest.mark.parametrize("clip_norm", [None, 0.05])
def test_accumulated_steps_of_one_equal_a_step_of_many(clip_norm):
    whole, parts = network(), network()
    by_batch = Optimizer(whole, options(clip_norm=clip_norm))
    by_image = Optimizer(parts, options(clip_norm=clip_norm, accumulate=4))
    for update in range(3):
        backward(whole, slice(None))
        by_batch.step(update + 1, 0.1)
        for row in range(4):
            before = values(parts)
            backward(parts, slice(row, row + 1))
            by_image.step(4 * update + row + 1, 0.1)
            if row < 3:
                assert_equal(values(parts), before)
        assert_equal(values(parts), values(whole), rtol=1e-5, atol=1e-6)


def test_the_last_step_of_a_run_completes_an_accumulation():
    """The mean over the steps that are left; a longer run continues after it as after any update.

    Steps 1-3 make an update, steps 4 and 5 the one at the end of the run. In the longer run step 6
    makes one alone, since its accumulation has been applied before, and 7-9 one together.
    """
    whole, parts = network(), network()
    by_batch = Optimizer(whole, options(momentum=0.5, clip_norm=0.1))
    by_image = Optimizer(parts, options(momentum=0.5, clip_norm=0.1, accumulate=3))
    rows = [0, 1, 2, 3, 0, 1, 2, 3, 0]
    for steps in ((1, 2, 3), (4, 5), (6,), (7, 8, 9)):
        backward(whole, [rows[step - 1] for step in steps])
        by_batch.step(steps[0], 0.1)
        for step in steps:
            backward(parts, [rows[step - 1]])
            by_image.step(step, 0.1, last=step == 5)
        assert_equal(values(parts), values(whole), rtol=1e-5, atol=1e-6)
        state = {name: array.copy() for name, array in by_image.state().items()}
        by_image = Optimizer(parts, options(momentum=0.5, clip_norm=0.1, accumulate=3))
        by_image.load_state(state)


def test_frozen_weights_stay_and_have_no_state():
    block = network(frozen=True)
    before = values(block)
    optimizer = Optimizer(block, options())
    backward(block, slice(None))
    optimizer.step(1, 0.1)
    after = values(block)
    np.testing.assert_array_equal(after["0.weight"], before["0.weight"])
    assert (after["1.weight"] != before["1.weight"]).any()
    assert set(optimizer.state()) == {"momentum/1.weight", "momentum/1.bias"}


def test_steps_are_adams():
    block = network()
    optimizer = Optimizer(block, options(optimizer={"type": "Adam"}, momentum=None))
    expected = values(block)
    means = {name: np.zeros((2, *value.shape)) for name, value in expected.items()}
    for number, lr in enumerate((0.1, 0.3, 0.03), start=1):
        backward(block, slice(None))
        for name, gradient in gradients(block).items():
            decayed = gradient + 0.01 * expected[name]
            mean, square = means[name]
            mean += 0.1 * (decayed - mean)
            square += 0.001 * (decayed**2 - square)
            rate = lr * (1 - 0.999**number) ** 0.5 / (1 - 0.9**number)
            expected[name] = expected[name] - rate * mean / (square**0.5 + 1e-8)
        optimizer.step(number, lr)
        assert_equal(values(block), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("epsilon", [1e-8, 0.1])
def test_steps_are_adamws(epsilon):
    """Loshchilov and Hutter 2019, algorithm 2: the decay is no part of the gradient's means."""
    nodes = [{"match": r"\.bias$", "lr": 2.0, "decay": 0.0}]
    block = network()
    adamw = {"type": "AdamW", "epsilon": epsilon}
    chosen = options(optimizer=adamw, momentum=None, multipliers=nodes)
    optimizer = Optimizer(block, chosen)
    expected = {name: value.astype("float64") for name, value in values(block).items()}
    means = {name: np.zeros((2, *value.shape)) for name, value in expected.items()}
    for number, lr in enumerate((0.1, 0.3, 0.03), start=1):
        backward(block, slice(None))
        for name, gradient in gradients(block).items():
            rate, decay = (2 * lr, 0) if name.endswith("bias") else (lr, 0.01)
            mean, square = means[name]
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient**2 - square)
            step = mean / (1 - 0.9**number) / (np.sqrt(square / (1 - 0.999**number)) + epsilon)
            expected[name] = expected[name] - rate * (step + decay * expected[name])
        optimizer.step(number, lr)
        assert_equal(values(block), expected, rtol=1e-4, atol=1e-5)


def test_adamw_decays_where_there_is_no_gradient():
    block = network()
    before = values(block)
    optimizer = Optimizer(block, options(optimizer={"type": "AdamW"}, momentum=None))
    with autograd.record():
        loss = (block(mx.nd.array(X)) * 0).sum()
    loss.backward()
    optimizer.step(1, 0.1)
    for name, value in values(block).items():
        np.testing.assert_allclose(value, before[name] * (1 - 0.1 * 0.01), rtol=1e-6)


def test_momentum_is_refused_where_there_is_none():
    node = Node("train.optimizer", "a.yaml:9")
    node.update(type="Adam")
    with pytest.raises(ConfigError, match="a.yaml:9.*train.momentum is 0.9.*'Adam'"):
        Optimizer(network(), options(optimizer=node))
    node.update(type="Adan")
    with pytest.raises(ConfigError, match="'Adan'.*did you mean 'Adam'"):
        Optimizer(network(), options(optimizer=node))


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("name", ["SGD", "NAG", "Adam", "AdamW"])
def test_a_restored_state_goes_on_bit_for_bit(name, accumulate):
    """Five steps; after the fourth, weights and state move to another network."""
    chosen = options(optimizer={"type": name}, momentum=None, accumulate=accumulate, clip_norm=1.0)
    block, other = network(), network()
    optimizer = Optimizer(block, chosen)
    for number in range(1, 5):
        backward(block, slice(number - 1, number))
        optimizer.step(number, 0.1)
    state = {name: array.copy() for name, array in optimizer.state().items()}
    second = Optimizer(other, chosen)
    for name, parameter in other._collect_params_with_prefix().items():
        parameter.set_data(mx.nd.array(values(block)[name]))
    second.load_state(state)
    for number in (5, 6):
        for each, its in ((block, optimizer), (other, second)):
            backward(each, slice(number - 4, number - 2))
            its.step(number, 0.1)
    assert_equal(values(block), values(other))
    first = {name: array.asnumpy() for name, array in optimizer.state().items()}
    assert_equal(first, {name: array.asnumpy() for name, array in second.state().items()})


def test_without_momentum_there_is_nothing_to_remember():
    block = network()
    optimizer = Optimizer(block, options(momentum=0.0))
    backward(block, slice(None))
    optimizer.step(1, 0.1)
    assert optimizer.state() == {}


def test_the_state_of_another_network_is_refused():
    optimizer = Optimizer(network(), options())
    with pytest.raises(CheckpointError, match="'backbone.weight'"):
        optimizer.load_state({"momentum/backbone.weight": mx.nd.zeros(3)})


@pytest.mark.parametrize("key", ["updates", "updates/{weight}", "partial"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1])
def test_a_number_that_counts_nothing_is_refused(key, number):
    chosen, block = options(optimizer={"type": "Adam"}, momentum=None), network()
    optimizer = Optimizer(block, chosen)
    backward(block, slice(None))
    optimizer.step(1, 0.1)
    state = {name: array.copy() for name, array in optimizer.state().items()}
    Optimizer(network(), chosen).load_state(state)
    key = key.format(weight=next(iter(values(block))))
    with pytest.raises(CheckpointError, match=f"{key}: expected a number of updates.*{number}"):
        Optimizer(network(), chosen).load_state({**state, key: mx.nd.array([number])})
