"""tools/benchmark_ops.py: its worker on a small case, what it compares, leaves out and requires."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from benchmark.errors import BenchmarkError
from benchmark.operators import operator_cases
from benchmark.operators.timing import Case, Clock, Implementation
from support import tiny


def implementation(value):
    """An implementation with a result."""
    return Implementation(lambda: value, lambda value: [np.array(value, "float32")])


def case(size=1, **values):
    implementations = {name: implementation(value) for name, value in values.items()}
    return Case("op", size, implementations, 0.1, 1.0, 1.0, growth=2, name="op case")


def test_the_tool_measures_a_small_case(built_library, tmp_path, capsys):
    out = tmp_path / "out.json"
    options = ("--threads", 1, "--seconds", 0.01, "--json", out)
    assert tiny.tool("benchmark_ops", "nms 100 random", *options) == 0
    printed = capsys.readouterr().out.splitlines()
    (line,) = (line for line in printed if line.startswith("nms 100 random "))
    assert line.count("x") >= 2  # two ratios
    measured = json.loads(out.read_text())["threads"]["1"]
    (row,) = measured["rows"]
    assert row["name"] == "nms 100 random"
    assert set(row["milliseconds"]) >= {"detkit", "fallback", "mxnet"}
    assert measured["machine"]["bytes"] > 1e8


def test_implementations_must_agree():
    assert Clock(0.001).measure(case(detkit=[1, 2], mxnet=[1, 2.05]))["left_out"] == {}
    with pytest.raises(BenchmarkError) as caught:
        Clock(0.001).measure(case(detkit=[1, 2], mxnet=[1, 2.5]))
    tiny.assert_says(str(caught.value), "op case", "detkit and mxnet", "0.1", "1 of 2", "0.5")
    with pytest.raises(BenchmarkError) as caught:
        Clock(0.001).measure(case(detkit=[1, 2], mxnet=[1]))
    tiny.assert_says(str(caught.value), "op case", "(2,)", "(1,)")


def test_an_implementation_that_would_take_too_long_is_left_out(monkeypatch):
    def alternate(implementations, seconds):
        return {name: [0.001 if name == "detkit" else 1.0] for name in implementations}

    monkeypatch.setattr("benchmark.operators.timing.alternate", alternate)
    clock = Clock(0.001)
    assert clock.measure(case(detkit=1, mxnet=1))["milliseconds"] == {"detkit": 1, "mxnet": 1000}
    measured = clock.measure(case(3, detkit=1, mxnet=1))
    assert measured["left_out"] == {"mxnet": 9.0}  # seconds: three times the size, squared
    assert set(measured["milliseconds"]) == {"detkit"}


def test_a_missed_ratio_is_an_error(monkeypatch, capsys):
    def measure(slow):
        def run(threads, mode, *arguments):
            if mode == "memory":
                return 1000
            milliseconds = {"detkit": 1.0, "fallback": 100, "mxnet": 100, "torchvision": 100}
            names = dict.fromkeys(name for name, *_ in tool.REQUIRED)
            rows = [{"name": name, "milliseconds": dict(milliseconds)} for name in names]
            rows[0]["milliseconds"]["torchvision"] = 100 - 99 * slow
            rates = {"bytes": 1e9, "operations": 1e9}
            return {"machine": rates, "rows": [{**r, "left_out": {}, "floor": 0} for r in rows]}

        return run

    tool = tiny.module_of("benchmark_ops")
    monkeypatch.setattr(tool, "measure", measure(slow=False))
    tool.main(["--check"])
    assert "MISSED" not in capsys.readouterr().out
    monkeypatch.setattr(tool, "measure", measure(slow=True))
    with pytest.raises(BenchmarkError, match="nms 2,000 random"):
        tool.main(["--check"])
    assert capsys.readouterr().out.count("MISSED") == 1


def test_the_names_of_cases_select_by_their_beginning():
    made = [case.name for case in operator_cases.all_cases(["nms 100 "])]
    assert made == ["nms 100 random", "nms 100 clustered"]


def test_the_growth_of_the_memory_is_the_peak():
    # In a process of its own: that of the tests gives memory back at any time.
    code = (
        "import numpy as np; from benchmark.operators.timing import peak_growth; "
        "print(peak_growth(lambda: np.ones(2**24).sum()))"  # 128 MiB, which are free afterwards
    )
    folders = os.pathsep.join(map(str, (tiny.ROOT, tiny.ROOT / "tools")))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": folders},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) > 100e6
