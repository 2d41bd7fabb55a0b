"""The fixtures that the tests of converters share."""

import mxnet as mx
import pytest


@pytest.fixture(autouse=True)
def no_random_weights(monkeypatch):
    """Starts weights at zero, because a converter replaces all of them.

    MXNet draws random numbers for a large network in seconds, in a thread of its own, in which it
    may keep a later test waiting.
    """

    def fill(self, name, array):
        array[:] = 0

    for initializer in (mx.init.Normal, mx.init.Xavier):
        monkeypatch.setattr(initializer, "_init_weight", fill)
