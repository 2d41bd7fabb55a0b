"""Graphs that pass every check of their form, and would end the process that runs them."""

import os
import shutil
import subprocess
import sys

import pytest

from detkit.export.manifest import SYMBOL
from support import hostile_exports as hostile
from support import tiny
from support.exports import exported
from support.hostile_shapes import SHAPES
from support.small import build

READ = """
import sys
import numpy as np
import detkit
from detkit.errors import ExportError
from fuzz.guard import limit_memory

image = np.full((64, 80, 3), 90, np.uint8)
for number, folder in enumerate(sys.argv[1:]):
    if number == 1:  # the first folder starts MXNet's threads
        limit_memory()
    try:
        detkit.load_exported(folder, device="cpu").detect(image)
    except ExportError as error:
        print(str(error).replace("\\n", " "), flush=True)
    else:
        print("accepted", flush=True)
"""


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """A folder of an export as it was written."""
    folder = tmp_path_factory.mktemp("right") / "exported"
    exported(build(), folder)
    return folder


@pytest.fixture(scope="module")
def messages(right, tmp_path_factory):
    """What a process of its own says of each case, of as many as it lives for."""
    folders = {case: tmp_path_factory.mktemp("graph") / "exported" for case in SHAPES}
    for case, folder in folders.items():
        shutil.copytree(right, folder)
        hostile.change_graph(folder, SHAPES[case][0])
    command = [sys.executable, "-c", READ, right, *folders.values()]
    path = f"{tiny.ROOT}:{tiny.ROOT / 'tools'}"
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    return {"the right one": lines[0], **dict(zip(SHAPES, lines[1:]))}


def test_a_graph_that_is_right(messages):
    assert messages["the right one"] == "accepted"


@pytest.mark.parametrize("case", SHAPES)
def test_graphs_that_ended_the_process(messages, case):
    assert case in messages, f"the process ended after {list(messages)}"
    assert f"/{SYMBOL}: " in messages[case]
    tiny.assert_says(messages[case], *SHAPES[case][1])
