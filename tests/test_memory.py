"""The limits of primitives and of arenas: memory is bounded, unless the user decides."""

import os
import platform
import subprocess
import sys

import pytest

from detkit.memory import ARENAS, MOST_ARENAS, MOST_PRIMITIVES, PRIMITIVES
from support import tiny

SHOW = f"import detkit, os; print(os.environ.get('{PRIMITIVES}'))"
# A numpy as MXNet knows it, which needs no detkit.
MXNET_FIRST = "import numpy; numpy.bool, numpy.int = bool, int; import mxnet; "
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
THREADS = """
import ctypes
import threading
import sys
from detkit.memory import bound_arenas

if sys.argv[1:]:
    from detkit.build import open_config
    from detkit.build.training import Training
    Training(open_config(sys.argv[1]))
else:
    bound_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
barrier = threading.Barrier(8)

def allocate():
    libc.malloc(1000)
    barrier.wait()  # a thread that has ended leaves its arena to the next one

threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
out = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, out)
libc.fclose(out)
"""
GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc is not glibc's")


def run(code, *arguments, **variables):
    environment = {k: v for k, v in os.environ.items() if k not in (PRIMITIVES, ARENAS)}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    environment.update(variables)
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, check=True).stdout.strip()


def test_a_limit():
    assert int(run(SHOW)) == MOST_PRIMITIVES


def test_the_user_decides():
    assert run(SHOW, **{PRIMITIVES: "-1"}) == b"-1"


def test_too_late_is_not_pretended():
    assert run(MXNET_FIRST + SHOW) == b"None"


@pytest.mark.processor
def test_the_variable_bounds_the_memory_of_ever_new_shapes():
    own = {"DNNL_PRIMITIVE_CACHE_CAPACITY": "10"}  # that of oneDNN itself, which is bounded
    bounded, unbounded = (int(run(GROWTH, **own, **{PRIMITIVES: most})) for most in ("10", "-1"))
    assert bounded < 0.5 * unbounded


@GLIBC
@pytest.mark.parametrize("given, expected", [({}, MOST_ARENAS), ({ARENAS: "5"}, 5)])
def test_threads_share_arenas(given, expected):
    assert run(THREADS, **given).count(b"<heap nr=") == expected


@GLIBC
def test_a_training_shares_them_too(tmp_path):
    assert run(THREADS, tiny.project(tmp_path)).count(b"<heap nr=") <= MOST_ARENAS
