"""tools/build_wheel.py: which libraries it refuses to put into a wheel."""

import sys

import pytest

from detkit.errors import DetkitError
from support import tiny

# What objdump says of a library that was linked with the system's newest libraries.
OBJDUMP = """#!/bin/sh
cat <<'END'
  NEEDED               libc.so.6
  NEEDED               libgomp.so.1
{needed}
0000000000000000  w   D  *UND*	0000000000000000  Base        __gmon_start__
0000000000000000      DF *UND*	0000000000000000 (GLIBC_2.17) secure_getenv
0000000000000000      DF *UND*	0000000000000000 (OMP_1.0)    omp_get_max_threads
0000000000001000 g    DF .text	0000000000000010  Base        detkit_isa
{symbol}
END
"""
SYMBOL = "0000000000000000      DF *UND*	0000000000000000 ({}) {}"


@pytest.fixture
def check(monkeypatch, tmp_path):
    """A function that checks a library with such a dependency."""
    build_wheel = tiny.module_of("build_wheel")

    def call(needed="", symbol=""):
        program = tmp_path / "objdump"
        program.write_text(OBJDUMP.format(needed=needed, symbol=symbol))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        build_wheel.check(tmp_path / "library.so")

    return call


def test_a_library_for_glibc_2_17_passes(check):
    check()
    check(symbol=SYMBOL.format("GOMP_3.0", "GOMP_taskyield"))


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("GLIBC_2.27", "expf"),
        ("GLIBC_2.17.1", "later"),
        ("GOMP_4.0", "GOMP_parallel"),
        ("GCC_7.0.0", "__emutls"),
        ("GLIBCXX_3.4", "_ZSt4cout"),
        ("CXXABI_1.3", "__cxa_throw"),
    ],
)
def test_a_symbol_that_is_too_new_is_named(check, version, name):
    with pytest.raises(DetkitError, match=f"library.so.*GLIBC_2.17.*{name} of {version}"):
        check(symbol=SYMBOL.format(version, name))


@pytest.mark.parametrize("library", ["libstdc++.so.6", "libomp.so.5"])
def test_a_library_that_a_system_may_lack_is_named(check, library):
    with pytest.raises(DetkitError, match=f"found the library {library.replace('+', '.')}"):
        check(needed=f"  NEEDED               {library}")


def test_without_ziglang_the_remedy_is_named(monkeypatch, tmp_path):
    false = tmp_path / "false"
    false.write_text("#!/bin/sh\necho No module named ziglang; exit 1\n")
    false.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(false))
    with pytest.raises(DetkitError, match=r"(?s)No module named ziglang.*pip install.*\[wheel\]"):
        tiny.module_of("build_wheel").make_stubs(tmp_path / "stubs")
