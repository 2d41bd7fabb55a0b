"""The limit of the primitives that MXNet keeps: memory is bounded, unless the user decides."""

import os
import subprocess
import sys

import pytest

from detkit.primitives import MOST, VARIABLE

SHOW = f"import detkit, os; print(os.environ.get('{VARIABLE}'))"
GROWTH = """
import sys
import detkit
import mxnet as mx
from mxnet.gluon import nn
from benchmark.memory import resident

layer = nn.Conv2D(16, 3, in_channels=16)
layer.initialize()
for side in range(200, 400):
    if side == 250:  # MXNet and its threads have what they need for any shape
        before = resident("VmRSS")
    layer(mx.nd.ones((1, 16, 4, side))).wait_to_read()
print((resident("VmRSS") - before) >> 10)
"""


def run(code, **variables):
    environment = {k: v for k, v in os.environ.items() if k != VARIABLE}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    environment.update(variables)
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, check=True).stdout.strip()


def test_a_limit():
    assert int(run(SHOW)) == MOST


def test_the_user_decides():
    assert run(SHOW, **{VARIABLE: "-1"}) == b"-1"


def test_too_late_is_not_pretended():
    assert run("import mxnet; " + SHOW) == b"None"


@pytest.mark.processor
def test_the_variable_bounds_the_memory_of_ever_new_shapes():
    own = {"DNNL_PRIMITIVE_CACHE_CAPACITY": "10"}  # that of oneDNN itself, which is bounded
    bounded, unbounded = (int(run(GROWTH, **own, **{VARIABLE: most})) for most in ("10", "-1"))
    assert bounded < 0.5 * unbounded
