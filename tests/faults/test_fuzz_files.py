"""Mutated files of every format: success or a clear error, and nothing else."""

import re
import subprocess
import sys

import pytest

from fuzz import guard
from fuzz.seeds import LAYOUTS, SEEDS
from fuzz.worker import case
from support import tiny

SLOW = ("checkpoint", "export", *LAYOUTS[1:])  # a training, or one of many readers of datasets
FORMATS = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in SEEDS]
CASES = 80
MORE_CASES = {"safetensors": 200}  # few mutations leave its header whole
OPEN = """
import os, sys
from pathlib import Path
from fuzz.guard import Guard, limit_memory

inside, outside = map(Path, sys.argv[1:])
watch = Guard(inside)
watch.armed = True
(inside / "a").write_text("x")
code = compile("1", "/x.py", "exec")
for harm in (lambda: outside.read_text(), lambda: os.system("true"), lambda: exec(code)):
    try:
        harm()
    except RuntimeError:
        pass
watch.armed = False
limit_memory()
try:
    bytes(2 << 30)
except MemoryError:
    print(len(watch.violations))
"""


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files(name, capsys):
    cases = MORE_CASES.get(name, CASES)
    status = tiny.tool("fuzz_files", "--cases", cases, "--seed", 7, "--only", name)
    captured = capsys.readouterr()
    assert status == 0, captured.err
    row = re.search(rf"\| {name} \| {cases} \| (\d+) \| (\d+) \| 0 \|", captured.out)
    accepted, clear = map(int, row.groups())
    assert accepted + clear == cases
    assert accepted > 0
    # A reader of a dataset counts a bad image and reads the others.
    assert clear > 20 or name in ("voc", *LAYOUTS)


def test_the_guard_sees_what_it_must(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "secret"
    inside.mkdir()
    outside.write_text("x")
    command = [sys.executable, "-c", OPEN, inside, outside]
    tools = {"PYTHONPATH": str(tiny.ROOT / "tools")}
    done = subprocess.run(command, env=tools, capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"
    assert guard.MEMORY == 1 << 30


@pytest.fixture
def tool():
    """The module of the tool."""
    return tiny.module_of("fuzz_files")


@pytest.mark.parametrize(
    ("end", "says"),
    [
        ("while True: pass", "hang: more than 0.5 s"),
        ("import os; os.kill(os.getpid(), 11)", "ended with status -11"),
    ],
)
def test_a_case_that_never_ends_or_kills_the_process(tool, monkeypatch, tmp_path, end, says):
    program = f'print(\'[3, "accepted", ""]\', flush=True)\n{end}'
    monkeypatch.setattr(tool, "WORKER", ("-c", program))
    monkeypatch.setattr(tool, "MOST_SECONDS", 0.5)
    first, last = tool.outcomes("pkl", 0, 3, 9, tmp_path)
    assert first == (3, "accepted", "")
    assert last[:2] == (4, "failed")
    assert says in last[2]


def test_a_case_depends_on_its_number_alone():
    for name in ("coco", "results", "pth", "safetensors"):
        seeds = SEEDS[name]()
        alone = [case(seeds, name, 3, number) for number in reversed(range(300))]
        assert alone[::-1] == [case(seeds, name, 3, number) for number in range(300)]


def test_a_failing_case_is_kept_without_the_files_of_its_seed(tool, tmp_path):
    seeds = SEEDS["config"]()
    tool.keep(tmp_path / "5", "it failed", seeds, "config", seed=1)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "5").iterdir()}
    assert kept.pop("message.txt") == b"it failed\n"
    ((name, data),) = kept.items()
    assert case(seeds, "config", 1, 5)[name] == data
    assert data not in seeds[0].values()
