"""Weights are read while MXNet trains: what is saved is what was trained, and nothing crashes."""

import subprocess
import sys

import pytest

from support import tiny

# Inference lets oneDNN choose the order of a convolution's weights. The next training step gives
# them their own order back while it runs, and the checkpoint is saved meanwhile.
SCRIPT = """
import sys
import detkit
import mxnet as mx
import numpy as np
from mxnet import autograd
from mxnet.gluon import nn
from detkit.checkpoints import check_finite, load_checkpoint
from detkit.runner.optimizer import Optimizer
from support.checkpoints import options, save

folder, channels = sys.argv[1], 32
block = nn.HybridSequential()
for _ in range(40):
    block.add(nn.Conv2D(channels, 3, padding=1, in_channels=channels))
block.initialize(mx.init.Normal(0.01))
block.hybridize()
image = mx.nd.random.normal(shape=(1, channels, 8, 8))
pair = block, Optimizer(block, options())
trained = {name: p.data().asnumpy() for name, p in block._collect_params_with_prefix().items()}
for repetition in range(200):
    block(image).asnumpy()
    with autograd.record():
        block(image)
    if repetition % 2:
        check_finite(block, repetition)
        continue
    save(folder, pair)
    for name, array in load_checkpoint(folder).weights.items():
        np.testing.assert_array_equal(array.asnumpy(), trained[name], f"{repetition}: {name}")
"""


@pytest.mark.slow
def test_weights_are_saved_while_a_step_is_under_way(tmp_path):
    tests = tiny.ROOT / "tests"
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "step-00000001")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tests, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
