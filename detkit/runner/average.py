"""The moving average of the weights of a training, in a network of its own."""

import math
from typing import Dict, Mapping

import mxnet as mx
from mxnet import gluon
from mxnet.gluon import Block

from detkit.checkpoints import AVERAGED, TRAINED
from detkit.errors import CheckpointError
from detkit.typing import NDArray


class Average:
    """The exponential moving average of a network's weights.

    After each update of the weights, an average moves towards its weight by 1 - d of their
    difference. d is the smaller of ``decay`` and (1 + n) / (10 + n), where n is the number of
    updates before, as in TensorFlow's ExponentialMovingAverage: the first weights are soon
    forgotten. The statistics of batch norm are averaged like the weights to which they belong.
    Nothing is copied to the host. The average of a weight that does not change is that weight, bit
    for bit.

    trained: the network that is trained. averaged: another network of the same config, whose
        weights become the averages. They begin with the weights of ``trained``.
    decay: in (0, 1).

    network: the network of the averages.
    """

    def __init__(self, trained: Block, averaged: Block, decay: float):
        self.network = averaged
        self._decay = decay
        averaged.collect_params().setattr("grad_req", "null")  # it needs no memory for gradients
        averages = averaged._collect_params_with_prefix()
        self._trained = _weights_of(trained)
        self._averages = {name: averages[name] for name in self._trained}
        self.begin()

    def begin(self) -> None:
        """Sets the averages to the weights that are trained, as they are now."""
        self._updates = 0
        for name, trained in self._trained.items():
            self._averages[name].set_data(trained.list_data()[0])

    def update(self) -> None:
        """Moves the averages towards the weights, after an update of these."""
        share = 1 - min(self._decay, (1 + self._updates) / (10 + self._updates))
        self._updates += 1
        for name, trained in self._trained.items():
            average = self._averages[name].list_data()[0]
            average += share * (trained.list_data()[0] - average)

    def state(self) -> Dict[str, NDArray]:
        """Returns {name: array} of what a resumed run needs beside the averages."""
        weights = self._trained.items()
        trained = {TRAINED + name: weight.list_data()[0] for name, weight in weights}
        return {**trained, AVERAGED: mx.nd.array([self._updates], dtype="int64")}

    def load_state(self, arrays: Mapping[str, NDArray]) -> None:
        """Restores the number of updates, if ``arrays`` are of a run with averages.

        Raises CheckpointError for what is no such number.
        """
        self._updates = count_at(arrays, AVERAGED)


def count_at(arrays: Mapping[str, NDArray], key: str) -> int:
    """Returns the number of updates or steps at a key of an optimizer's state, 0 without the key.

    Raises CheckpointError for a number that counts nothing.
    """
    count = float(arrays[key].asscalar()) if key in arrays else 0.0
    if not 0 <= count < math.inf:
        raise CheckpointError(
            f"the optimizer's state: {key}: expected a number of updates, found {count}; use "
            "another checkpoint"
        )
    return int(count)


def trained_shapes(network: Block) -> Dict[str, tuple]:
    """Returns {name: shape} of the arrays that Average.state has of the weights of a network."""
    return {TRAINED + name: weight.shape for name, weight in _weights_of(network).items()}


def load_trained(network: Block, arrays: Mapping[str, NDArray]) -> None:
    """Puts the trained weights among ``arrays``, if Average.state returned some, into a network.

    Raises CheckpointError if one is missing.
    """
    if AVERAGED not in arrays:
        return
    weights = _weights_of(network)
    missing = [name for name in weights if TRAINED + name not in arrays]
    if missing:
        raise CheckpointError(
            f"the optimizer's state: expected the trained weights of all averages, found "
            f"{len(missing)} missing, the first {missing[0]!r}; use another checkpoint"
        )
    for name, weight in weights.items():
        weight.set_data(arrays[TRAINED + name])


def _weights_of(network: Block) -> Dict[str, gluon.Parameter]:
    named = network._collect_params_with_prefix()
    return {n: p for n, p in named.items() if not isinstance(p, gluon.Constant)}
