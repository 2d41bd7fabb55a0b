"""SGD with momentum, and the means to save what it remembers."""

import re

from mxnet import gluon

from detkit.config import place
from detkit.errors import CheckpointError, ConfigError
from detkit.registry import construct


def multiplier(match: str, lr: float = 1.0, decay: float = 1.0):
    """One entry of train.multipliers: a compiled expression and its two factors."""
    try:
        return re.compile(match), lr, decay
    except re.error as error:
        raise ValueError(f"match is not a regular expression: {error}") from error


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
        self._trainer = gluon.Trainer(
            list(self._trained.values()),
            "sgd",
            {"learning_rate": options.lr, "momentum": options.momentum, "wd": options.weight_decay},
            kvstore=None,
        )

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
        """{name: array}: momenta, and the gradients of an accumulation that is under way."""
        memory = self._trainer._updaters[0].states
        # Nothing is remembered before the first update, and nothing at all without momentum.
        momenta = {name: memory.get(index) for index, name in enumerate(self._trained)}
        arrays = {f"momentum/{n}": array for n, array in momenta.items() if array is not None}
        if self._accumulate > 1:
            arrays.update({f"gradient/{n}": p.grad() for n, p in self._trained.items()})
        return arrays

    def load_state(self, arrays):
        """Take up what ``state`` returned. Raises CheckpointError for another network's."""
        unknown = {name.partition("/")[2] for name in arrays} - set(self._trained)
        if unknown:
            raise CheckpointError(
                f"the optimizer's state is of another network: it has {sorted(unknown)[0]!r}, "
                "which is not trained here"
            )
        updater = self._trainer._updaters[0]
        for index, (name, parameter) in enumerate(self._trained.items()):
            if f"momentum/{name}" in arrays:
                context = parameter.list_ctx()[0]
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
