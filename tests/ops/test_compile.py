"""Compiling the operators: what is built when, by whom, and what is said when it fails.

A shell script stands in for the compiler: it writes the file after -o and notes that it was called.
"""

import ast
import io
import platform
import re
import subprocess
import sys

import pytest

from detkit.ops import compile as compiling
from detkit.ops.compile import Build, BuildError, find_compiler, library
from support import tiny

FAKE = """#!/bin/sh
if [ "$1" = --version ]; then echo "fake 1.0"; exit; fi
sleep 0.02
echo call >> "{log}"
{extra}
while [ $# -gt 1 ]; do shift; [ "$last" = -o ] && echo object > "$1"; last="$1"; done
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Installs a compiler; the function given takes a shell command it runs on every call."""
    log = tmp_path / "calls"

    def install(extra=""):
        path = tmp_path / "fake"
        path.write_text(FAKE.format(log=log, extra=extra))
        path.chmod(0o755)
        monkeypatch.setenv("CXX", str(path))
        monkeypatch.setenv("DETKIT_CACHE", str(tmp_path / "cache"))
        return path

    install.calls = lambda: log.read_text().count("call") if log.exists() else 0
    return install


def test_it_is_built_once_and_then_found(fake):
    fake()
    path = library()
    assert path.read_text() == "object\n"
    calls = fake.calls()
    assert library() == path
    assert fake.calls() == calls


def test_a_compiler_that_cannot_be_run_is_named(fake):
    fake().write_bytes(b"\x7fELF is all of it")
    with pytest.raises(BuildError) as error:
        library()
    tiny.assert_says(str(error.value), "/fake: cannot be run: Exec format error")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_who_waits_for_the_compiler_sees_why_and_how_far_it_is(fake, caplog, monkeypatch, stream):
    compiler = fake()
    monkeypatch.setattr(sys, "stderr", stream())
    path = library()
    (notice,) = [record for record in caplog.records if record.name == "detkit.ops.cache"]
    assert notice.levelname == "WARNING"  # a program without settings of its logging shows it
    tiny.assert_says(notice.message, str(path.parent), str(compiler), "about", " s on ", "core")
    count = len(Build(str(compiler)).commands("x"))
    bar = sys.stderr.getvalue()
    assert (f"{count}/{count}" in bar) == (stream is Terminal)
    assert bool(bar) == (stream is Terminal)
    caplog.clear()
    assert library() == path
    assert not caplog.records


def test_an_installed_package_has_all_sources():
    """Only what setup.py names is in a wheel."""
    setup = (tiny.ROOT / "setup.py").read_text(encoding="utf-8")
    patterns = ast.literal_eval(
        re.search(r"package_data=(\{.*?\n    \})", setup, re.DOTALL).group(1)
    )["detkit"]
    sources = {path for path in compiling.SOURCES.rglob("*") if path.is_file()}
    package = compiling.SOURCES.parents[1]
    assert sources == {path for each in patterns for path in package.glob(each)} & sources
    assert {"kernels.h", "isa.cc", "nms.cu", "binding.cc"} <= {path.name for path in sources}


def test_processes_that_start_at_once_build_it_once(fake):
    compiler = fake()
    code = "from detkit.ops.compile import library; print(library())"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    paths = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(paths) == 1
    assert fake.calls() == len(Build(str(compiler)).commands("x")) + 2  # flags tried, and the link


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the flag is for x86 alone")
def test_a_compiler_that_does_not_know_bfloat16_builds_the_others(fake):
    refuse = 'case "$*" in *mavx512bf16*) exit 1;; esac'
    compiler = str(fake(refuse))
    assert library().read_text() == "object\n"
    commands = Build(compiler).commands("x")
    fewer = Build(compiler).commands("x", bfloat16=False)
    assert len(commands) - len(fewer) == len(compiling.PRODUCTS)
    assert not [word for command in fewer for word in command if "BFLOAT16" in str(word)]


def test_another_compiler_or_other_flags_make_another_library(fake, monkeypatch):
    path = str(fake())
    key = Build(path).key()
    assert Build(path).key() == key
    monkeypatch.setattr(compiling, "FLAGS", (*compiling.FLAGS, "-g"))
    assert Build(path).key() != key
    monkeypatch.undo()
    fake("# another text, so another version").write_text(
        FAKE.replace("1.0", "1.1").format(log="/dev/null", extra="")
    )
    assert Build(path).key() != key


def test_a_failing_compiler_is_quoted_and_leaves_nothing(fake, tmp_path):
    fake("echo kernels.h:3: no such type >&2; exit 1")
    with pytest.raises(BuildError, match=r"(?s)kernels.h:3: no such type.*command: .*fake"):
        library()
    assert not list((tmp_path / "cache").rglob("*.so"))
    assert not list((tmp_path / "cache").rglob("*.o"))


def test_without_a_compiler_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(BuildError, match=r"g\+\+, c\+\+, clang\+\+.*apt install g\+\+"):
        find_compiler()
    monkeypatch.setenv("CXX", "nonesuch")
    with pytest.raises(BuildError, match="CXX.*'nonesuch'.*unset CXX"):
        find_compiler()


def test_a_cache_that_cannot_be_written_is_named(fake, monkeypatch, tmp_path):
    fake()
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("DETKIT_CACHE", str(blocked))
    with pytest.raises(BuildError, match="file"):
        library()
