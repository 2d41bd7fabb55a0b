"""The processor's levels: what a machine has, and how one is held to less."""

import os
import subprocess
import sys

import pytest

from detkit import processor
from detkit.errors import ConfigError
from detkit.processor import LEVELS, ONEDNN_VARIABLE, VARIABLE

WORDS = {level.name: level.flags for level in LEVELS}


@pytest.fixture
def cpu(tmp_path, monkeypatch):
    """A function: this machine has the instructions of some levels, and some variables are set."""

    def has(*levels, machine="x86_64", **variables):
        words = sorted(set().union(*(WORDS[level] for level in levels)))
        path = tmp_path / "cpuinfo"
        path.write_text(f"model name\t: A CPU\nflags\t\t: sse2 {' '.join(words)}\n\nflags : x\n")
        monkeypatch.setattr(processor, "CPU_INFO", str(path))
        monkeypatch.setattr(processor.platform, "machine", lambda: machine)
        for name in (VARIABLE, ONEDNN_VARIABLE):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return has


@pytest.mark.parametrize(
    ("has", "variables", "expected"),
    [
        ((), {}, "baseline"),
        (("avx2",), {}, "avx2"),
        (("avx2_vnni",), {}, "avx2_vnni"),
        (("avx512",), {}, "avx512"),
        (("avx512_bf16", "avx2_vnni"), {}, "avx512_bf16"),
        (("amx",), {}, "amx"),
        (("amx",), {VARIABLE: "avx512_vnni"}, "avx512_vnni"),
        (("avx512_bf16",), {VARIABLE: "avx2_vnni"}, "avx2"),  # not one of its levels
        (("avx2",), {VARIABLE: "avx512"}, "avx2"),
        (("avx512_bf16",), {ONEDNN_VARIABLE: "AVX2"}, "avx2"),
        (("avx512_bf16",), {ONEDNN_VARIABLE: "ALL"}, "avx512_bf16"),
        (("avx512_bf16",), {ONEDNN_VARIABLE: "AVX512_CORE", VARIABLE: "avx2"}, "avx2"),
        (("avx512_bf16",), {ONEDNN_VARIABLE: "avx2", VARIABLE: "avx512"}, "avx2"),
    ],
)
def test_the_level_in_use(cpu, has, variables, expected):
    cpu(*has, **variables)
    assert processor.level().name == expected


@pytest.mark.parametrize(
    ("has", "vnni", "bfloat16"),
    [
        ("avx2", False, False),
        ("avx2_vnni", True, False),
        ("avx512", False, False),
        ("avx512_vnni", True, False),
        ("avx512_bf16", True, True),
        ("amx", True, True),
    ],
)
def test_what_a_level_can_do(cpu, has, vnni, bfloat16):
    cpu(has)
    assert (processor.has_vnni(), processor.has_bfloat16()) == (vnni, bfloat16)


def test_no_x86(cpu):
    cpu(machine="aarch64")
    assert [level.name for level in processor.levels()] == ["baseline"]
    assert processor.has_vnni()
    assert not processor.has_bfloat16()
    assert processor.level().onednn == ""


def test_a_machine_that_says_nothing(cpu, monkeypatch, tmp_path):
    cpu("avx2")
    monkeypatch.setattr(processor, "CPU_INFO", str(tmp_path / "absent"))
    assert processor.level().name == "baseline"
    assert processor.describe() == "x86_64, SSE"


def test_it_is_described(cpu):
    cpu("avx2")
    assert processor.describe() == "A CPU, AVX2"
    cpu("avx512", **{VARIABLE: "avx2"})
    said = processor.describe()
    assert said.startswith("A CPU, AVX2")
    assert "DETKIT_ISA=avx2" in said
    assert "has AVX-512" in said
    cpu("avx512", **{ONEDNN_VARIABLE: "AVX2"})
    assert "DNNL_MAX_CPU_ISA=AVX2" in processor.describe()


def test_a_level_that_there_is_not(cpu):
    cpu("avx2", **{VARIABLE: "sse9"})
    with pytest.raises(ConfigError, match="DETKIT_ISA: .*baseline, .*amx, found 'ss"):
        processor.level()


CONVOLUTION = """
import detkit, mxnet as mx
mx.nd.Convolution(*map(mx.nd.ones, ((1, 16, 9, 9), (16, 16, 3, 3))), kernel=(3, 3), no_bias=True,
                  num_filter=16).wait_to_read()
"""


def said_by_onednn(code, **variables):
    """What oneDNN prints of itself in a process that runs ``code``."""
    environment = {k: v for k, v in os.environ.items() if k not in (VARIABLE, ONEDNN_VARIABLE)}
    environment.update(variables, DNNL_VERBOSE="1")
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    return done.stdout.decode()


@pytest.mark.skipif(len(processor.levels()) < 2, reason="this CPU has one level")
def test_onednn_keeps_to_it():
    said = said_by_onednn(CONVOLUTION, **{VARIABLE: "baseline"})
    assert "isa:Intel SSE4.1" in said
    assert "jit:sse41" in said
    assert "jit:avx" not in said
    said = said_by_onednn(CONVOLUTION, **{VARIABLE: "baseline", ONEDNN_VARIABLE: "AVX2"})
    assert "isa:Intel SSE4.1" not in said  # whoever sets oneDNN's own variable means it
