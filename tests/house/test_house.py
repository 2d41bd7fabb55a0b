"""The plan of the house: what holds for every class and every training step of the package."""

import ast
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
import textwrap

import detkit
from detkit.registry import TRAIN_STEPS
from support import tiny

LONGEST_STEP = 25  # statements
EXTRAS = ("detkit.export.onnx", "detkit.export.runtimes.by_")  # what they need may be missing


def classes():
    """Every class that is defined in the package."""
    for module in pkgutil.walk_packages(detkit.__path__, "detkit."):
        if not module.name.startswith(EXTRAS):
            for value in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(value) and value.__module__ == module.name:
                    yield value


def test_no_class_has_more_than_one_of_detkits_above_it():
    tower = {
        f"{each.__module__}.{each.__name__}": [base.__name__ for base in above]
        for each in classes()
        for above in [[b for b in each.__mro__[1:] if b.__module__.startswith("detkit.")]]
        if len(above) > 1
    }
    assert tower == {}


def test_every_training_step_is_a_page():
    detkit_steps = [TRAIN_STEPS.get(name) for name in TRAIN_STEPS.names()]
    detkit_steps = [step for step in detkit_steps if step.__module__.startswith("detkit.")]
    assert len(detkit_steps) >= 7
    for step in detkit_steps:
        (function,) = ast.parse(textwrap.dedent(inspect.getsource(step.__call__))).body
        statements = [node for node in ast.walk(function) if isinstance(node, ast.stmt)]
        assert len(statements) <= LONGEST_STEP, step.__name__
        assert "__call__" in vars(step), step.__name__


REGISTERED = (
    f"""
EXTRAS = {EXTRAS}
"""
    + """
import importlib, json, pkgutil
import detkit.parts
from detkit.registry import REGISTRIES

parts = {kind: registry.names() for kind, registry in REGISTRIES.items()}
for module in pkgutil.walk_packages(detkit.__path__, "detkit."):
    if not module.name.startswith(EXTRAS):
        importlib.import_module(module.name)
print(json.dumps([parts, {kind: registry.names() for kind, registry in REGISTRIES.items()}]))
"""
)


def test_parts_registers_every_part_that_detkit_ships():
    command = [sys.executable, "-c", REGISTERED]
    done = subprocess.run(command, cwd=tiny.ROOT, capture_output=True, text=True, check=True)
    parts, all_that_there_are = json.loads(done.stdout)
    assert parts == all_that_there_are
    assert [kind for kind in parts if not parts[kind]] == []


# --- Sizes ----------------------------------------------------------------------------------------

LONGEST_FILE, LONGEST_FUNCTION, SHORTEST_MODULE = 300, 40, 40  # lines

# Why a module is shorter than SHORTEST_MODULE.
SHORT = {
    "__main__.py": "the start of the program",
    "commands/": "one file for each command, and one for its arguments",
    "constants.py": "the counterpart of kernels.h, without MXNet",
    "data/digest.py": "needs no more than the protocol of datasets",
    "data/faults/checks.py": "the table of the checks",
    "data/one_class.py": "a wrapper of datasets",
    "detections/coco_labels.py": "a table that converters, results and the benchmark share",
    "export/runtimes/names.py": "read by command lines, without numpy",
    "models/detectors/": "one file for each detector",
    "naming.py": "shared by two rooms of which neither may know the other",
    "ops/": "one wrapper for each kernel",
    "report/learning.py": "reads a log, without the page",
    "memory.py": "must not import MXNet",
    "parts.py": "imports every room that registers parts",
    "runner/seed.py": "used by the loop and by the assembly",
    "train_steps/": "one file for each detector",
    "typing.py": "aliases",
}


def lines_of(path):
    return path.read_text(encoding="utf-8").count("\n")


def sources(*folders):
    return sorted(path for folder in folders for path in (tiny.ROOT / folder).rglob("*.py"))


def test_no_file_and_no_function_is_too_long():
    long = []
    for path in sources("detkit", "tools", "plugins", "tests"):
        name = path.relative_to(tiny.ROOT)
        long += [str(name)] * (lines_of(path) > LONGEST_FILE)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            # A test may be a long table.
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("test_"):
                length = node.end_lineno - node.lineno + 1
                long += [f"{name}: {node.name}"] * (length > LONGEST_FUNCTION)
    assert long == []


def test_a_short_module_has_a_reason():
    modules = {
        path.relative_to(tiny.ROOT / "detkit").as_posix(): lines_of(path)
        for path in sources("detkit")
        if path.name != "__init__.py"
    }
    short = {name for name, count in modules.items() if count < SHORTEST_MODULE}
    unexplained = {name for name in short if not any(name.startswith(key) for key in SHORT)}
    assert unexplained == set()
    assert {key for key in SHORT if not any(name.startswith(key) for name in short)} == set()
