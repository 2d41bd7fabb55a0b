"""MXNet with the names that numpy and Python have removed, in a process that has lost them.

The process hides the names, so that every Python and numpy shows what the latest ones do.
"""

import ast
import importlib.metadata
import itertools
import json
import subprocess
import sys

import pytest

import detkit
from detkit.compatibility import EXPIRED, NUMPY_NAMES, PACKAGES, Version, support_mxnet
from support import tiny

HIDE = """
import builtins, importlib, json, sys, warnings
import numpy

class NoDistutils:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "distutils":
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, NoDistutils())
ask = vars(numpy).get("__getattr__")

def without_the_names(name):
    if name in ("bool", "float", "int"):
        raise AttributeError(f"module 'numpy' has no attribute {name!r}")
    return ask(name)

numpy.__getattr__ = without_the_names
for name in ("bool", "float", "int"):
    vars(numpy).pop(name, None)
"""

WITHOUT_THE_NAMES = """
def changed(before, now):  # a submodule that was imported in between is no change
    # Packages that were made with pybind11 keep a record in builtins.
    module = type(sys)
    names = {k for k in (*before, *now) if not k.startswith("__pybind11")}
    names = [k for k in names if not isinstance(before.get(k, now.get(k)), module)]
    return sorted(k for k in names if before.get(k, k) is not now.get(k, k))

def reason(call):
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def import_it():
    import mxnet

said = {"alone": reason(import_it)}
numpy_before, builtins_before = dict(vars(numpy)), dict(vars(builtins))
import detkit
warnings.simplefilter("error")
import mxnet as mx
warnings.simplefilter("default")
import detkit.boxes, mxnet.test_utils

seen, before = mx.ndarray.ndarray.np, mx.ndarray
said.update(
    numpy=changed(numpy_before, vars(numpy)),
    builtins=changed(builtins_before, vars(builtins)),
    user=reason(lambda: numpy.bool),
    distutils=[name for name in sys.modules if name.startswith("distutils")],
    added=changed(vars(numpy), vars(seen)),
    values=[seen.bool is bool, seen.float is float, seen.int is int],
    masked=mx.np.array([1, 2, 3])[mx.np.array([1, 0, 1], dtype="bool")].tolist(),
    equal=str((mx.np.ones(2) == 1).dtype),
    reloaded=importlib.reload(mx).nd is sys.modules["mxnet.ndarray"] is mx.ndarray is before,
    late=[seen.testing is numpy.testing, mx.test_utils.np is seen, sys.modules["numpy"] is numpy],
)
print(json.dumps(said))
"""

WITH_A_NAME = """
numpy.bool = numpy.bool_
import detkit, mxnet.numpy
print(json.dumps([mxnet.numpy.bool is numpy.bool_, "int" in vars(numpy)]))
"""


def run(script):
    command = [sys.executable, "-c", HIDE + script]
    done = subprocess.run(command, cwd=tiny.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_mxnet_gets_the_names_and_nobody_else():
    said = run(WITHOUT_THE_NAMES)
    # The same process has tried to import MXNet before detkit, in vain.
    tiny.assert_says(said["alone"], "Error: ")
    assert said["numpy"] == said["builtins"] == said["distutils"] == []
    tiny.assert_says(said["user"], "AttributeError", "'bool'")
    expired = [name for name in EXPIRED if name in said["added"]]  # not with numpy 1.19
    assert said["added"] == sorted([*NUMPY_NAMES, *expired, "__getattr__"])
    assert said["values"] == [True, True, True]
    assert said["masked"] == [1, 3]
    assert said["equal"] == "bool"
    assert said["late"] == [True, True, True]
    assert said["reloaded"]


def test_a_name_that_numpy_has_is_numpys():
    assert run(WITH_A_NAME) == [True, False]


def imports(path):
    """The packages that a file imports at its top, in their order."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_every_tool_imports_detkit_before_mxnet():
    late, count = [], 0
    for path in (tiny.ROOT / "tools").glob("*.py"):
        names = list(imports(path))
        if "mxnet" in names:
            count += 1
            late += [path.name] * ("detkit" not in names[: names.index("mxnet")])
    assert late == [] and count >= 3


def test_import_detkit_is_enough_and_a_second_call_does_nothing():
    finders = list(sys.meta_path)
    support_mxnet()
    assert sys.meta_path == finders
    ours = [finder for finder in finders if type(finder).__module__ == "detkit.compatibility"]
    assert len(ours) == 1
    assert detkit.__name__ not in PACKAGES
    assert ours[0].find_spec("json") is None
    installed = [found.metadata["Name"] for found in importlib.metadata.distributions(name="numpy")]
    assert installed == ["numpy"]


@pytest.mark.parametrize("other", [Version, str])
def test_versions_are_in_the_order_of_their_numbers(other):
    texts = ["1.6", "1.6.1", "1.9.1", "1.10.0", "1.23.5", "1.24.0", "2.0.0b1"]
    for (low, a), (high, b) in itertools.combinations(enumerate(texts), 2):
        assert low < high
        assert Version(a) < other(b) and Version(b) > other(a) and Version(a) != other(b)
        assert Version(a) <= other(a) and Version(a) == other(a)
    assert len({Version("1.9.1"), Version("1.9.1"), Version("1.9")}) == 2
    assert str(Version("1.9.1")) == "1.9.1"
