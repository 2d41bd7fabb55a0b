"""tools/doctor.py: what it says of a machine."""

import sys

import pytest

from detkit import cli, processor
from detkit.ops import backend, build
from support import tiny


def test_the_processor_and_what_it_lacks(capsys, monkeypatch):
    assert tiny.tool("doctor") == 0
    said = capsys.readouterr().out
    tiny.assert_says(said, processor.describe(), "cores", "oneDNN", "operators")
    assert ("no VNNI" in said) != processor.has_vnni()
    monkeypatch.setattr(processor, "has_vnni", lambda: False)
    monkeypatch.setattr(processor, "has_bfloat16", lambda: False)
    assert tiny.tool("doctor") == 0
    tiny.assert_says(capsys.readouterr().out, "no VNNI", "--int8-for any", "no bfloat16")


@pytest.mark.usefixtures("built_library")
@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("", "detkit's for 1x1, 3x3 and depthwise ones, MXNet's for others"),
        ("own", "detkit's for 1x1, 3x3 and depthwise ones, MXNet's for others (DETKIT_CONV=own)"),
        ("direct", "MXNet's (DETKIT_CONV=direct)"),
    ],
)
def test_which_convolutions_are_used(capsys, monkeypatch, value, found):
    monkeypatch.setenv(backend.CONVOLUTIONS_VARIABLE, value)
    assert tiny.tool("doctor") == 0
    (line,) = [
        each
        for each in capsys.readouterr().out.splitlines()
        if " convolutions: " in f" {each.strip()}"
    ]
    assert line.endswith(f": {found}")


def test_a_choice_of_convolutions_that_there_is_not(capsys, monkeypatch):
    monkeypatch.setenv(backend.CONVOLUTIONS_VARIABLE, "fast")
    assert tiny.tool("doctor") == 1
    tiny.assert_says(capsys.readouterr().err, "DETKIT_CONV", "'fast'", "own", "direct")


def test_build_prints_the_path_of_the_operators(built_library, capsys):
    assert tiny.tool("doctor", "--build") == 0
    assert capsys.readouterr().out == f"{built_library}\n"
    assert cli.run(build.main, []) == 0
    assert capsys.readouterr().out == f"{built_library}\n"


def test_a_level_that_there_is_not(capsys, monkeypatch):
    monkeypatch.setenv(processor.VARIABLE, "avx9")
    assert tiny.tool("doctor") == 1
    tiny.assert_says(capsys.readouterr().err, "DETKIT_ISA", "'avx9'", "avx512_vnni")


@pytest.mark.parametrize(
    ("machine", "missing", "advice"),
    [
        ("x86_64", "libgfortran.so.3: not found", "pip install 'detkit-gluon[cpu]'"),
        ("aarch64", "libarmpl_lp64_mp.so: not found", "the Arm Performance Libraries"),
    ],
)
def test_an_mxnet_that_cannot_be_loaded(capsys, monkeypatch, machine, missing, advice):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "mxnet":
                raise OSError(missing)

    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.delitem(sys.modules, "mxnet")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    assert tiny.tool("doctor") == 1
    tiny.assert_says(capsys.readouterr().err, missing, advice)
