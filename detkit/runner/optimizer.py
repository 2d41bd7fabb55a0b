"""What updates the weights, and the means to save what it remembers."""

import math
import re

import mxnet as mx
from mxnet import gluon

from detkit.config import place
from detkit.errors import CheckpointError, ConfigError
from detkit.registry import OPTIMIZERS, construct, signature

UPDATES = "updates"  # how often the weights were updated, beside the arrays of a state


def multiplier(match: str, lr: float = 1.0, decay: float = 1.0):
    """One entry of train.multipliers: a compiled expression and its two factors."""
    try:
        return re.compile(match), lr, decay
    except re.error as error:
        raise ValueError(f"match is not a regular expression: {error}") from error


@OPTIMIZERS.register("SGD")
def sgd(learning_rate, wd, momentum: float = 0.9):
    """Stochastic gradient descent with momentum, as the papers of this family."""
    return mx.optimizer.SGD(learning_rate=learning_rate, wd=wd, momentum=momentum)


@OPTIMIZERS.register("NAG")
def nag(learning_rate, wd, momentum: float = 0.9):
    """SGD with Nesterov's momentum."""
    return mx.optimizer.NAG(learning_rate=learning_rate, wd=wd, momentum=momentum)


@OPTIMIZERS.register("Adam")
def adam(learning_rate, wd, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8):
    """Kingma and Ba 2014; the weight decay is added to the gradient."""
    return mx.optimizer.Adam(
        learning_rate=learning_rate, wd=wd, beta1=beta1, beta2=beta2, epsilon=epsilon
    )


@OPTIMIZERS.register()
class AdamW(mx.optimizer.Adam):
    """Adam whose weight decay is no part of the gradient (Loshchilov and Hutter 2019, algorithm 2).

    A weight shrinks by ``lr * weight_decay`` of itself at each update, both with the weight's own
    multipliers, as PyTorch's AdamW does it. The update is MXNet's operator ``adamw_update``.
    """

    def __init__(
        self, learning_rate, wd, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
    ):
        super().__init__(
            learning_rate=learning_rate, wd=wd, beta1=beta1, beta2=beta2, epsilon=epsilon
        )

    def update(self, index, weight, grad, state):
        """Updates one weight; MXNet's Trainer calls it."""
        self._update_count(index)
        lr, count = self._get_lr(index), self._index_update_count[index]
        # The operator divides the mean by sqrt(square) + epsilon; the paper corrects both before.
        mean, square = 1 - self.beta1**count, math.sqrt(1 - self.beta2**count)
        mx.nd.contrib.adamw_update(
            weight,
            grad,
            *state,
            rescale_grad=self.rescale_grad,
            lr=lr * square / mean,
            eta=1,  # the operator multiplies both terms by eta, and the decay by nothing else
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon * square,
            wd=lr * self._get_wd(index),
            out=weight,
        )


def build_optimizer(options):
    """MXNet's optimizer that the section ``train`` describes, checked."""
    node = options.optimizer
    entry = OPTIMIZERS.entry(node.get("type"), place(node, "type"))
    derived = {"learning_rate": options.lr, "wd": options.weight_decay}
    if options.momentum is not None and "momentum" not in node:
        if "momentum" not in signature(entry.target)[0]:
            raise ConfigError(
                f"{place(node, 'type')}: train.momentum is {options.momentum}, and the optimizer "
                f"{entry.name!r} has none; set train.momentum to null"
            )
        derived["momentum"] = options.momentum
    return OPTIMIZERS.build(node, **derived)


class Optimizer:
    """Updates a block's trained parameters from their gradients, summed over ``accumulate`` steps.

    Weights are known by their structural names (``backbone.features.0.weight``).
    """

    def __init__(self, block, options):
        self._accumulate = options.accumulate
        self._clip_norm = options.clip_norm
        named = block._collect_params_with_prefix()
        self._trained = {n: p for n, p in named.items() if p.grad_req != "null"}
        for node in options.multipliers:
            _apply_multiplier(self._trained, node)
        if self._accumulate > 1:
            for parameter in self._trained.values():
                parameter.grad_req = "add"
        self._updates = build_optimizer(options)
        self._trainer = gluon.Trainer(list(self._trained.values()), self._updates, kvstore=None)

    def step(self, number, lr):
        """After training step ``number`` (from 1): update, if it completes an accumulation."""
        if number % self._accumulate:
            return
        if self._clip_norm:
            self._clip()
        self._trainer.set_learning_rate(lr)
        self._trainer.step(self._accumulate)
        if self._accumulate > 1:
            for parameter in self._trained.values():
                parameter.zero_grad()

    def _clip(self):
        grads = [grad for parameter in self._trained.values() for grad in parameter.list_grad()]
        # Checking for infinities here would wait for the device; the losses are checked instead.
        gluon.utils.clip_global_norm(
            grads, self._clip_norm * self._accumulate, check_isfinite=False
        )

    def state(self):
        """{name: array}: what the optimizer remembers of each weight, how often it updated them,
        and the gradients of an accumulation that is under way."""
        memory = self._trainer._updaters[0].states
        arrays = {}
        for index, name in enumerate(self._trained):
            # Nothing is remembered before the first update, and nothing at all without momentum.
            state = memory.get(index)
            if isinstance(state, tuple):  # Adam's means of gradients and of their squares
                arrays.update({f"mean{n}/{name}": array for n, array in enumerate(state)})
            elif state is not None:
                arrays[f"momentum/{name}"] = state
        if any(isinstance(state, tuple) for state in memory.values()):
            arrays[UPDATES] = mx.nd.array([self._updates.num_update], dtype="int64")
        if self._accumulate > 1:
            arrays.update({f"gradient/{n}": p.grad() for n, p in self._trained.items()})
        return arrays

    def load_state(self, arrays):
        """Take up what ``state`` returned. Raises CheckpointError for another network's."""
        unknown = {name.partition("/")[2] for name in arrays if name != UPDATES}
        unknown -= set(self._trained)
        if unknown:
            raise CheckpointError(
                f"the optimizer's state is of another network: it has {sorted(unknown)[0]!r}, "
                "which is not trained here"
            )
        updater = self._trainer._updaters[0]
        if UPDATES in arrays:
            self._updates.begin_num_update = self._updates.num_update = int(
                arrays[UPDATES].asscalar()
            )
        for index, (name, parameter) in enumerate(self._trained.items()):
            context = parameter.list_ctx()[0]
            means = [arrays[key] for key in (f"mean0/{name}", f"mean1/{name}") if key in arrays]
            if means:
                updater.states[index] = tuple(array.as_in_context(context) for array in means)
                updater.states_synced[index] = True
            elif f"momentum/{name}" in arrays:
                updater.states[index] = arrays[f"momentum/{name}"].as_in_context(context)
                updater.states_synced[index] = True
            if f"gradient/{name}" in arrays:
                parameter.grad()[:] = arrays[f"gradient/{name}"]


def _apply_multiplier(parameters, node):
    match, lr, decay = construct(multiplier, node)
    matched = [parameter for name, parameter in parameters.items() if match.search(name)]
    if not matched:
        raise ConfigError(
            f"{place(node, 'match')}: no trained weight's name matches {match.pattern!r}; names "
            f"look like {next(iter(parameters))!r}"
        )
    for parameter in matched:
        parameter.lr_mult, parameter.wd_mult = lr, decay
