"""The library of a platform wheel: used if it fits, otherwise compiled, and why."""

import json
import platform
import shutil

import mxnet as mx
import pytest

from detkit.files.disk import sha256_of
from detkit.ops import compile as compiling
from detkit.ops.compile import Build, BuildError, find_prebuilt, library
from detkit.ops.prebuilt import MANIFEST, Manifest, PrebuiltError
from support import tiny


def write_manifest(path, **changes):
    """Writes the manifest of the library ``path``, as it is on this machine, with some changes."""
    made = Manifest(
        sources=Build("any compiler").sources(),
        mxnet=mx.__version__,
        machine=platform.machine(),
        glibc="2.17",
        compiler="g++ 12.2",
        sha256=sha256_of(path),
    )
    path.with_name(MANIFEST).write_text(made._replace(**changes).text())


@pytest.fixture
def prebuilt(built_library, monkeypatch, tmp_path):
    """The path of a prebuilt library that fits, on a machine without a compiler."""
    path = tmp_path / "prebuilt" / compiling.LIBRARY
    path.parent.mkdir()
    shutil.copy(built_library, path)
    write_manifest(path)
    monkeypatch.setattr(compiling, "PREBUILT", path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    return path


def refused(*fragments):
    """Checks the reason, and that a machine without a compiler is told it beside the remedy."""
    with pytest.raises(PrebuiltError) as reason:
        find_prebuilt()
    tiny.assert_says(str(reason.value), *fragments)
    with pytest.raises(BuildError) as error:
        library()
    tiny.assert_says(str(error.value), "apt install g++", str(reason.value))


def test_one_that_fits_is_used_without_a_compiler(prebuilt, capsys):
    assert library() == prebuilt
    assert not (prebuilt.parents[1] / "cache").exists()
    assert tiny.tool("doctor") == 0
    tiny.assert_says(capsys.readouterr().out, "prebuilt by g++ 12.2 for glibc 2.17")


@pytest.mark.parametrize("name", ["sources", "mxnet", "machine"])
def test_one_that_was_made_of_something_else_is_refused(prebuilt, name, capsys):
    write_manifest(prebuilt, **{name: "0" * 64})
    refused(MANIFEST, name, repr("0" * 64))
    tiny.tool("doctor")
    tiny.assert_says(capsys.readouterr().out, "compiled on this machine", f"{name}: expected")


def test_changed_flags_are_another_source(prebuilt, monkeypatch):
    monkeypatch.setattr(compiling, "FLAGS", (*compiling.FLAGS, "-g"))
    refused("sources")


def test_where_the_sources_lie_and_hidden_files_make_no_difference(prebuilt, monkeypatch, tmp_path):
    """An installed package has no hidden files."""
    hidden = shutil.ignore_patterns(".*")
    copy = shutil.copytree(compiling.SOURCES, tmp_path / "copy", ignore=hidden)
    monkeypatch.setattr(compiling, "SOURCES", copy)
    assert library() == prebuilt
    with open(copy / "kernels.h", "a", encoding="utf-8") as header:
        header.write("\n")
    refused("sources")


def test_a_damaged_one_is_refused(prebuilt):
    content = bytearray(prebuilt.read_bytes())
    content[len(content) // 2] ^= 1
    prebuilt.write_bytes(content)
    refused(compiling.LIBRARY, "expected sha256", sha256_of(prebuilt))
    prebuilt.unlink()
    refused(compiling.LIBRARY, "No such file")
    prebuilt.with_name(MANIFEST).unlink()
    refused("no prebuilt library")


def test_one_that_the_system_cannot_load_is_refused(prebuilt):
    prebuilt.write_text("for another system")
    write_manifest(prebuilt)
    refused(compiling.LIBRARY, "cannot load")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda text: text[:-4], "JSON"),
        (lambda text: "[" * 4000, "JSON"),
        (lambda text: text + " " * 5000, "4096 bytes"),
        (lambda text: text.replace('"mxnet"', '"glibc"'), "twice"),
        (lambda text: text.replace('"mxnet"', '"MXNet"'), "MXNet, mxnet"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "format: expected 1, found 2"),
        (lambda text: text.replace('"format": 1', '"format": true'), "found True"),
        (lambda text: text.replace('"2.17"', "2.17"), "glibc: expected a string, found 2.17"),
        (lambda text: text.replace("g++", "gé"), "JSON"),
        (lambda text: json.dumps([text]), "format"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused(prebuilt, change, found):
    path = prebuilt.with_name(MANIFEST)
    path.write_text(change(path.read_text()), encoding="utf-8")
    refused(str(path), found)


def test_a_sum_that_is_none_is_refused(prebuilt):
    write_manifest(prebuilt, sha256="0" * 63)
    refused("sha256", "0" * 63)


def test_who_names_a_compiler_gets_a_compiled_one(prebuilt, monkeypatch):
    monkeypatch.setenv("CXX", "my-g++")
    with pytest.raises(PrebuiltError, match="CXX.*'my-g\\+\\+'"):
        find_prebuilt()
    with pytest.raises(BuildError, match="'my-g\\+\\+'.*no program"):
        library()


def test_cuda_kernels_are_compiled(prebuilt, monkeypatch):
    monkeypatch.setattr(compiling, "find_nvcc", lambda: "/opt/nvcc")
    refused("CUDA", "nvcc")
