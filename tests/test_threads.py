"""MXNet's threads: one for each physical core, unless the user says otherwise."""

import os
import subprocess
import sys

import pytest

from detkit.threads import VARIABLE, physical_cores

SHOW = f"import detkit, os; print(os.environ.get('{VARIABLE}'))"
# A numpy as MXNet knows it, which needs no detkit.
MXNET_FIRST = "import numpy; numpy.bool, numpy.int = bool, int; import mxnet; "


def run(code, **variables):
    environment = {k: v for k, v in os.environ.items() if k != VARIABLE}
    environment.update(variables)
    done = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    return done.stdout.decode().strip()


def test_a_thread_for_each_core():
    assert run(SHOW) == str(physical_cores())
    assert 1 <= physical_cores() <= os.cpu_count()


def test_the_user_decides():
    assert run(SHOW, **{VARIABLE: "1"}) == "1"


def test_too_late_is_not_pretended():
    assert run(MXNET_FIRST + SHOW) == "None"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux's CPU affinity")
def test_only_the_cores_this_process_may_use():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); " + SHOW
    assert run(code) == "1"
