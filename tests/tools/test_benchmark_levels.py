"""tools/benchmark.py on lesser processors: what is left out, what holds the sides, what it says."""

import json
import os
import re
import time

import pytest

from benchmark.detectors import progress, sides, worker_process
from benchmark.detectors.running_sides import RunningSides
from benchmark.instruction_limit import library_limits
from detkit import processor
from support import tiny

FAKE = tiny.ROOT / "tests/support/fake_side.py"
NAME = "fasterrcnn_resnet50_fpn"
AVX2 = "avx2 fma"
AVX512 = f"{AVX2} avx512f avx512bw avx512dq avx512vl avx512_vnni avx512_bf16"
EMULATED = "it would be emulated, without AVX512_BF16 and AMX"


@pytest.fixture
def machine(monkeypatch, tmp_path, no_limit):
    """A function that makes this a machine with such a processor, held to a level or free."""

    def make(flags, held_to=None):
        cpu_info = tmp_path / "cpuinfo"
        cpu_info.write_text(f"model name : Made Up\nflags : {flags}\n", encoding="utf-8")
        monkeypatch.setattr(processor, "CPU_INFO", str(cpu_info))
        monkeypatch.setattr(processor, "is_x86", lambda: True)
        if held_to:
            monkeypatch.setenv(processor.VARIABLE, held_to)

    return make


def fake(name, form="0", precision="fp32"):
    return sides.Side(name, FAKE, None, {"form": form, "precision": precision, "clock": "wall"})


@pytest.fixture
def tool(monkeypatch, capsys):
    """A function that runs the tool on made-up sides: its output, its progress, which files it
    made."""
    made = []

    def run(*arguments):
        measured = [
            fake("detkit eager"),
            fake("detkit bf16", precision="bf16"),
            fake("torchvision fp32"),
            fake("torchvision bf16", precision="bf16"),
            fake("onnxruntime fp32"),
        ]
        monkeypatch.setattr(sides, "sides_of", lambda *arguments: measured)
        monkeypatch.setattr(worker_process, "write_file", lambda kind, *_: made.append(kind))
        options = ("--size", "32x48", "--threads", 1, "--rounds", 2)
        assert tiny.tool("benchmark", NAME, *options, *arguments) == 0
        printed = capsys.readouterr()
        return printed.out.splitlines(), printed.err.splitlines(), made

    return run


PEERS = ("--peer", "torchvision", "--peer", "onnxruntime")


def measured(lines):
    """The sides that have a row in the table."""
    return [line[:24].strip() for line in lines[lines.index("") + 5 :]]


def test_forms_that_would_be_emulated_are_left_out(machine, tool, tmp_path):
    machine(AVX2)
    out = tmp_path / "out.json"
    lines, _, made = tool(*PEERS, "--forms", "eager", "bf16", "int8", "--json", out)
    assert lines[0].startswith(
        "Made Up, AVX2; there is no VNNI, and INT8 gains less; 1 threads; detkit "
    )
    assert lines[1:4] == [
        f"detkit bf16 is left out: {EMULATED}",
        f"torchvision bf16 is left out: {EMULATED}",
        "",
    ]
    assert lines[5] == "Made Up, AVX2; there is no VNNI, and INT8 gains less"
    assert lines[6] == "fake 1.0"
    assert measured(lines) == ["detkit eager", "torchvision fp32", "onnxruntime fp32"]
    assert made == ["state", "int8", "onnx"]
    (figures,) = json.loads(out.read_text())
    assert figures["processor"] == "Made Up, AVX2; there is no VNNI, and INT8 gains less"
    assert figures["left_out"] == {"detkit bf16": EMULATED, "torchvision bf16": EMULATED}


def test_a_limit_leaves_out_what_it_does_not_hold(machine, tool):
    machine(AVX512, held_to="avx512_vnni")
    lines, _, made = tool(*PEERS, "--forms", "eager")
    assert "without VNNI" not in lines[0]
    assert "DETKIT_ISA=avx512_vnni" in lines[0]
    assert "AVX-512 with VNNI and bfloat16" in lines[0]
    assert lines[1:3] == [
        f"torchvision bf16 is left out: {EMULATED}",
        lines[2],
    ]
    tiny.assert_says(lines[2], "onnxruntime fp32 is left out", "no variable", "AVX-512 with VNNI")
    assert "onnxruntime fp32" not in measured(lines)
    assert made == ["state"]
    assert {"openvino fp32", "openvino bf16"} <= set(sides.left_out((), sides.PEERS))


@pytest.mark.parametrize("held_to", [None, "avx512_bf16"])
def test_nothing_is_left_out_of_what_the_processor_has(machine, held_to):
    machine(AVX512, held_to)
    assert sides.left_out(sides.FORMS, sides.PEERS) == {}


def test_no_form_is_left(machine, capsys):
    machine(AVX512, held_to="avx2")
    with pytest.raises(SystemExit):
        tiny.tool("benchmark", NAME, "--forms", "bf16")
    assert f"nothing is left of --forms bf16: {EMULATED}" in capsys.readouterr().err


def test_every_side_is_held(machine, tmp_path):
    machine(AVX512, held_to="avx2")
    with RunningSides([fake("gluoncv fp32", "environment")], 1, tmp_path) as running:
        variables = running.about["gluoncv fp32"]
    expected = {
        "DETKIT_ISA": "avx2",
        "DNNL_MAX_CPU_ISA": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    }
    assert {name: variables.get(name) for name in expected} == expected
    assert variables["OMP_NUM_THREADS"] == "1"


def test_each_level_has_its_variables(machine, monkeypatch):
    machine(f"{AVX512} avx_vnni amx_tile amx_int8 amx_bf16")
    assert library_limits() == {}
    for level in processor.LEVELS[:-1]:
        monkeypatch.setenv(processor.VARIABLE, level.name)
        assert library_limits()["ONEDNN_MAX_CPU_ISA"] == level.onednn
        assert library_limits()["ATEN_CPU_CAPABILITY"] in ("default", "avx2", "avx512")
    monkeypatch.delenv(processor.VARIABLE)
    monkeypatch.setenv(processor.ONEDNN_VARIABLE, "AVX2")  # a limit of oneDNN's alone
    assert library_limits()["DETKIT_ISA"] == "avx2"


# --- what it says while it runs -------------------------------------------------------------------


def test_each_step_is_said_before_it(machine, tool):
    machine(AVX512)
    _, lines, _ = tool("--forms", "eager")
    lines = [line for line in lines if line != "not an answer"]
    assert lines[0] == "detkit eager: loaded, fake 1.0"
    assert "32x48, batch 1: 2 calls of each side first" in lines
    assert lines[-3] == "the detections of each side"
    assert lines[-2].startswith("2 rounds of 5 sides: about ")
    assert lines[-1] == "the memory of each side"
    assert any(re.fullmatch(r"  torchvision bf16 +0\.\d{3} s a call", line) for line in lines)


def test_the_estimate_is_of_the_last_calls_before(machine, tmp_path, capsys):
    machine(AVX512)
    with RunningSides([fake("one"), fake("two", "slow")], 1, tmp_path) as running:
        running.use((32, 32), 1)
        running.times(3)
    said = capsys.readouterr().err
    assert re.search(r"^  two +0\.[5-9]\d\d s a call$", said, re.MULTILINE)
    assert re.search(r"^3 rounds of 2 sides: about [23] s, 1 s each$", said, re.MULTILINE)


def test_a_long_step_is_not_silent(machine, monkeypatch, tmp_path, capsys):
    machine(AVX512)
    monkeypatch.setattr(progress, "SILENCE", 0.1)
    with RunningSides([fake("one", "slow")], 1, tmp_path) as running:
        running.use((32, 32), 1)
    assert capsys.readouterr().err.count("waiting for one (time), ") >= 3


def test_lines_are_spared_where_one_was_just_said(machine, capsys):
    machine(AVX512)
    line = progress.Progress()
    line.say("one")
    line.say("two", after=60)
    time.sleep(0.02)
    line.say("three", after=0.01)
    assert capsys.readouterr().err == "one\nthree\n"
    assert [progress.duration(seconds) for seconds in (0.4, 119, 200)] == ["0 s", "119 s", "3 min"]


def test_the_operators_say_where_they_are_measured(machine, monkeypatch, tmp_path, capsys):
    machine(AVX512, held_to="avx2")
    import subprocess

    environments = []

    def worker(command, env):
        environments.append(env)
        with open(command[3], "w", encoding="utf-8") as file:
            json.dump({"machine": {"bytes": 1e9, "operations": 1e9}, "rows": []}, file)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", worker)
    out = tmp_path / "out.json"
    assert tiny.tool("benchmark_ops", "nms", "--threads", 1, "--json", out) == 0
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("Made Up, AVX2")
    assert "DETKIT_ISA=avx2" in line
    assert json.loads(out.read_text())["processor"] == line
    assert environments[0]["ATEN_CPU_CAPABILITY"] == "avx2"
    assert environments[0]["PATH"] == os.environ["PATH"]
