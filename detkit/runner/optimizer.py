"""The optimizers that update the weights, and the state that a checkpoint keeps of them."""

import math
import re
from typing import Any, Dict, Mapping, Optional, Pattern, Tuple

import mxnet as mx
from mxnet import gluon
from mxnet.gluon import Block

from detkit.checkpoints import AVERAGED
from detkit.config import place, require
from detkit.construct import construct, signature
from detkit.errors import CheckpointError, ConfigError
from detkit.registry import OPTIMIZERS
from detkit.runner.average import Average, count_at, load_trained, trained_shapes
from detkit.runner.layer_decay import layer_factors
from detkit.runner.options import TrainOptions
from detkit.typing import Context, NDArray

# Names of single numbers in a state, beside the arrays of the weights.
UPDATES = "updates"  # how often the weights were updated; updates/NAME of a weight, if less often
PARTIAL = "partial"  # the training step after which an accumulation was ended before its time


def multiplier(match: str, lr: float = 1.0, decay: float = 1.0) -> Tuple[Pattern, float, float]:
    """Returns one entry of train.multipliers: a compiled expression and its two factors."""
    try:
        return re.compile(match), lr, decay
    except re.error as error:
        raise ValueError(
            f"match: expected a regular expression, found {match!r}: {error}"
        ) from error


@OPTIMIZERS.register("SGD")
def sgd(learning_rate: float, wd: float, momentum: float = 0.9) -> mx.optimizer.Optimizer:
    """Returns stochastic gradient descent with momentum, as the papers of this family use it."""
    return mx.optimizer.SGD(learning_rate=learning_rate, wd=wd, momentum=momentum)


@OPTIMIZERS.register("NAG")
def nag(learning_rate: float, wd: float, momentum: float = 0.9) -> mx.optimizer.Optimizer:
    """Returns SGD with Nesterov's momentum."""
    return mx.optimizer.NAG(learning_rate=learning_rate, wd=wd, momentum=momentum)


@OPTIMIZERS.register("Adam")
def adam(
    learning_rate: float,
    wd: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> mx.optimizer.Optimizer:
    """Returns Adam (Kingma and Ba 2014); the weight decay is added to the gradient."""
    return mx.optimizer.Adam(
        learning_rate=learning_rate, wd=wd, beta1=beta1, beta2=beta2, epsilon=epsilon
    )


@OPTIMIZERS.register()
class AdamW(mx.optimizer.Adam):
    """Adam whose weight decay is no part of the gradient (Loshchilov and Hutter 2019, algorithm 2).

    A weight shrinks by ``lr * weight_decay`` of itself at each update, both with the weight's own
    multipliers, which matches PyTorch's AdamW. The update is MXNet's operator ``adamw_update``.
    """

    def __init__(
        self,
        learning_rate: float,
        wd: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ):
        super().__init__(
            learning_rate=learning_rate, wd=wd, beta1=beta1, beta2=beta2, epsilon=epsilon
        )

    def update(
        self, index: int, weight: NDArray, grad: NDArray, state: Tuple[NDArray, NDArray]
    ) -> None:
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


def build_optimizer(options: TrainOptions) -> mx.optimizer.Optimizer:
    """Returns MXNet's optimizer that the section ``train`` describes. Raises ConfigError."""
    node = options.optimizer
    entry = OPTIMIZERS.entry(require(node, "type", str), place(node, "type"))
    derived: Dict[str, Any] = {"learning_rate": options.lr, "wd": options.weight_decay}
    if options.momentum is not None and "momentum" not in node:
        if "momentum" not in signature(entry.target)[0]:
            raise ConfigError(
                f"{place(node, 'type')}: expected an optimizer with momentum, because "
                f"train.momentum is {options.momentum}, found {entry.name!r}; set train.momentum "
                "to null"
            )
        derived["momentum"] = options.momentum
    return OPTIMIZERS.build(node, **derived)


class Optimizer:
    """The optimizer of a block's trained parameters; gradients are summed over several steps.

    Weights are known by their structural names (``backbone.features.0.weight``). A weight that
    Freezing freezes afterwards is neither updated nor clipped until it is released.

    block: the network. options: the section ``train``: ``accumulate`` steps make an update.
    average: the Average of the network's weights, which follows each update; or None.

    Raises ConfigError for an optimizer or a multiplier that cannot be used.
    """

    def __init__(self, block: Block, options: TrainOptions, average: Optional[Average] = None):
        self._block, self._average = block, average
        self._accumulate = options.accumulate
        self._clip_norm = options.clip_norm
        named = block._collect_params_with_prefix()
        self._trained = {n: p for n, p in named.items() if p.grad_req != "null"}
        for node in options.multipliers:
            _apply_multiplier(self._trained, node)
        if options.layer_decay != 1:
            for name, factor in layer_factors(named, options.layer_decay).items():
                named[name].lr_mult *= factor
        if self._accumulate > 1:
            for parameter in self._trained.values():
                parameter.grad_req = "add"
        self._updates = build_optimizer(options)
        self._trainer = self._build_trainer()
        self._partial = 0  # the training step after which a run ended within an accumulation

    def _build_trainer(self) -> gluon.Trainer:
        weights = list(self._trained.values())
        devices = weights[0].list_ctx()
        sums = "device" if devices[0].device_type == "gpu" else "local"  # where gradients are added
        store = sums if len(devices) > 1 else None
        return gluon.Trainer(weights, self._updates, kvstore=store, update_on_kvstore=False)

    def step(self, number: int, lr: float, last: bool = False) -> None:
        """Updates the weights after training step ``number``, if it completes an accumulation.

        number: counted from 1. last: whether it is the last step of the run, which completes the
        accumulation under way in any case. The gradient is the mean over the accumulated steps
        (mmdetection does the same; Detectron2 accumulates nothing).
        """
        if number % self._accumulate and not last:
            return
        # A run that was lengthened may begin within an accumulation that has been applied.
        count = min((number - 1) % self._accumulate + 1, number - self._partial)
        if number % self._accumulate:
            self._partial = number
        self._trainer.allreduce_grads()  # each device has the sum over all devices from here on
        if self._clip_norm:
            self._clip(self._clip_norm * count)
        self._trainer.set_learning_rate(lr)
        self._trainer.update(count)
        if self._average is not None:
            self._average.update()
        if self._accumulate > 1:
            for parameter in self._trained.values():
                parameter.zero_grad()

    def _clip(self, norm: float) -> None:
        grads = [p.list_grad() for p in self._trained.values() if _is_trained(p)]
        for of_device in zip(*grads):
            # A check for infinities would wait for the device; the losses are checked instead.
            gluon.utils.clip_global_norm(list(of_device), norm, check_isfinite=False)

    def state(self) -> Dict[str, NDArray]:
        """Returns {name: array}: the means of each weight, the number of updates, the gradients of
        an accumulation under way, and the weights that an Average is of."""
        memory = self._trainer._updaters[0].states
        arrays = {}
        for index, name in enumerate(self._trained):
            # There is no state before the first update, and none at all without momentum.
            state = memory.get(index)
            if isinstance(state, tuple):  # Adam's means of gradients and of their squares
                arrays.update({f"mean{n}/{name}": array for n, array in enumerate(state)})
            elif state is not None:
                arrays[f"momentum/{name}"] = state
        if any(isinstance(state, tuple) for state in memory.values()):
            arrays.update(self._counts())
        if self._accumulate > 1:
            trained = {n: p for n, p in self._trained.items() if _is_trained(p)}
            arrays.update({f"gradient/{n}": p.list_grad()[0] for n, p in trained.items()})
        if self._partial:
            arrays[PARTIAL] = mx.nd.array([self._partial], dtype="int64")
        if self._average is not None:
            arrays.update(self._average.state())
        return arrays

    def _counts(self) -> Dict[str, NDArray]:
        """Returns the number of updates, and that of each weight that was frozen for a time."""
        total = self._updates.num_update
        counts = self._updates._index_update_count
        named = {f"{UPDATES}/{n}": counts.get(i, total) for i, n in enumerate(self._trained)}
        fewer = {key: count for key, count in named.items() if count != total}
        return {k: mx.nd.array([n], dtype="int64") for k, n in {UPDATES: total, **fewer}.items()}

    def load_state(self, arrays: Mapping[str, NDArray]) -> None:
        """Restores what ``state`` returned. Raises CheckpointError for another network's state.

        The weights that averages are of are trained on, with or without an Average.
        """
        self._check_state(arrays)
        load_trained(self._block, arrays)
        if self._average is not None:
            self._average.load_state(arrays)
        self._updates.num_update = count_at(arrays, UPDATES)
        self._partial = count_at(arrays, PARTIAL)
        devices = next(iter(self._trained.values())).list_ctx()
        for device, updater in zip(devices, self._trainer._updaters):
            self._load_means(arrays, device, updater)
        for name, parameter in self._trained.items():
            if f"gradient/{name}" in arrays and _is_trained(parameter):
                parameter.zero_grad()
                parameter.list_grad()[0][:] = arrays[f"gradient/{name}"]

    def _load_means(self, arrays: Mapping[str, NDArray], device: Context, updater: Any) -> None:
        """Restores what a device's updater knows of each weight."""
        self._updates._set_current_context(device.device_id)
        for index, name in enumerate(self._trained):
            means = [arrays[key] for key in (f"mean0/{name}", f"mean1/{name}") if key in arrays]
            if means:
                updater.states[index] = tuple(array.as_in_context(device) for array in means)
                updater.states_synced[index] = True
                # A weight that was never updated has no means, and its count begins at 0.
                own = f"{UPDATES}/{name}"
                count = count_at(arrays, own if own in arrays else UPDATES)
                self._updates._index_update_count[index] = count
            elif f"momentum/{name}" in arrays:
                updater.states[index] = arrays[f"momentum/{name}"].as_in_context(device)
                updater.states_synced[index] = True

    def _check_state(self, arrays: Mapping[str, NDArray]) -> None:
        remedy = "use the config that the checkpoint was trained with"
        shapes = {name: weight.shape for name, weight in self._trained.items()}
        averaged = trained_shapes(self._block)
        for key, array in arrays.items():
            name = key.partition("/")[2]
            if key in (UPDATES, PARTIAL, AVERAGED):
                shape: Any = (1,)
            elif key in averaged:
                shape = averaged[key]
            elif key.startswith(f"{UPDATES}/") and name in shapes:
                shape = (1,)
            elif name in shapes:
                shape = shapes[name]
            else:
                raise CheckpointError(
                    "the optimizer's state is of another network: expected weights that are "
                    f"trained here, found {name!r}; {remedy}"
                )
            if array.shape != shape:
                raise CheckpointError(
                    f"the optimizer's state: {key}: expected the shape {shape}, found "
                    f"{array.shape}; {remedy}"
                )


def _is_trained(parameter: gluon.Parameter) -> bool:
    """Returns whether a weight has a gradient, which a frozen one has not."""
    return bool(parameter.grad_req != "null")


def _apply_multiplier(parameters: Mapping[str, gluon.Parameter], node: dict) -> None:
    match, lr, decay = construct(multiplier, node)
    matched = [parameter for name, parameter in parameters.items() if match.search(name)]
    if not matched:
        raise ConfigError(
            f"{place(node, 'match')}: expected an expression that matches the name of a trained "
            f"weight, found {match.pattern!r}; names look like {next(iter(parameters))!r}"
        )
    for parameter in matched:
        parameter.lr_mult, parameter.wd_mult = lr, decay
