"""Builds a wheel for x86-64 Linux with detkit's operators compiled, for glibc 2.17 and later.

The kernels are compiled by this machine's g++ with the flags that detkit uses anywhere, and linked
with symbol stubs of glibc 2.17, which the package ziglang has. libstdc++ is linked statically. The
wheel fits every Python 3 that detkit supports, because the library uses nothing of Python.
"""

import argparse
import os
import platform
import re
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import detkit  # noqa: F401  # isort: skip  before MXNet

import mxnet as mx
from tqdm import tqdm

from detkit.cli import debug_argument, run
from detkit.errors import DetkitError
from detkit.files.disk import sha256_of
from detkit.ops.compile import (
    LIBRARY,
    PREBUILT,
    SOURCES,
    Build,
    BuildError,
    find_compiler,
    knows_bfloat16,
    printed_by,
)
from detkit.ops.prebuilt import MANIFEST, Manifest

ROOT = Path(__file__).resolve().parents[1]
PORTABLE = ROOT / "tools/wheel/portable.cc"
# What a wheel is made of.
PACKAGE = (
    *("detkit", "configs", "tools/deploy"),
    *("setup.py", "pyproject.toml", "README.md", "LICENSE"),
)
TAG = "py3-none-manylinux2014_x86_64"
GLIBC = "2.17"
# The newest versions of symbols that systems of glibc 2.17 have, with their GCC 4.8. The versions
# of libstdc++, GLIBCXX and CXXABI, are missing: the library contains its own.
NEWEST = {"GLIBC": (2, 17), "GCC": (4, 8, 0), "GOMP": (3, 0), "OMP": (3, 0)}
SYSTEM = ("libc", "libm", "libpthread", "libdl", "librt", "libgcc_s", "libgomp", "ld-linux-x86-64")
UNDEFINED = re.compile(r"\*UND\*\s+\S+\s+\(?([A-Z]+)_([0-9.]+)\)?\s+(\S+)$", re.MULTILINE)
NEEDED = re.compile(r"NEEDED\s+(([^.\s]+)\S*)$", re.MULTILINE)


class WheelError(DetkitError):
    """Says why the wheel cannot be built on this machine."""


def main(argv=None):
    """Writes the wheel and prints its path."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", metavar="DIR", default="dist", help="the default is dist")
    debug_argument(parser)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        source = copy_package(Path(scratch) / "source")
        folder = source / PREBUILT.relative_to(SOURCES.parents[2]).parent
        folder.mkdir()
        compile_portable(Path(scratch) / "objects", folder)
        print(pack(source, Path(args.out)))


def copy_package(target):
    """Copies what a wheel is made of; returns the folder."""
    (target / "tools").mkdir(parents=True)
    for name in PACKAGE:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", PREBUILT.parent.name)
            shutil.copytree(ROOT / name, target / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, target / name)
    return target


def compile_portable(scratch, folder):
    """Compiles the library for every x86-64 Linux into ``folder``, with its manifest.

    Raises WheelError on another machine and for a compiler that lacks an instruction set,
    BuildError if a command fails, and the errors of ``check``.
    """
    scratch.mkdir()
    build = Build(find_compiler())
    version = printed_by([build.compiler, "--version"]).splitlines()[0]
    if platform.machine() != "x86_64" or not knows_bfloat16(build.compiler):
        raise WheelError(
            f"{build.compiler}: expected a compiler for all x86-64 instruction sets, found "
            f"{version!r} on {platform.machine()}; install GCC 10 or later, or name it in CXX"
        )
    stubs = make_stubs(scratch / "glibc")
    # Messages name a source file; its folder on this machine is nobody's concern.
    packages = (SOURCES.parents[2], Path(mx.__file__).parents[1])
    prefixes = [f"-ffile-prefix-map={path}=." for path in packages]
    commands = [[first, *prefixes, *rest] for first, *rest in build.commands(str(scratch))]
    commands.append([build.compiler, "-O2", "-fPIC", "-c", PORTABLE, "-o", scratch / "portable.o"])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(printed_by, commands)
        list(tqdm(done, "operators", len(commands), unit="file", disable=None))
    library = folder / LIBRARY
    # Sections of libstdc++ that nobody calls need newer symbols, for example of std::random_device.
    flags = ("-Wl,--gc-sections", "-Wl,--exclude-libs,ALL", "-Wl,-z,defs", "-s", "-L", stubs)
    objects = [command[-1] for command in commands]
    build.link(objects, library, "-static-libstdc++", "-shared-libgcc", *flags)
    check(library)
    made = Manifest(
        sources=build.sources(),
        mxnet=mx.__version__,
        machine=platform.machine(),
        glibc=GLIBC,
        compiler=version,
        sha256=sha256_of(library),
    )
    (folder / MANIFEST).write_text(made.text(), encoding="ascii")


def make_stubs(folder):
    """Makes libraries with the symbols of glibc 2.17 and without code; returns their folder.

    A symbol of a later version is an error of the linker. Raises WheelError without ziglang.
    """
    folder.mkdir()
    (folder / "empty.c").write_text("")
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", f"x86_64-linux-gnu.{GLIBC}"]
    names = [*("-O2", "-shared", folder / "empty.c", "-o", folder / "empty.so"), "-lm", "-lpthread"]
    caches = {f"ZIG_{kind}_CACHE_DIR": str(folder / "cache") for kind in ("GLOBAL", "LOCAL")}
    try:
        printed_by([*zig, *names], {**os.environ, **caches})
    except BuildError as error:
        raise WheelError(f'{error}\n  install ziglang: pip install -e ".[wheel]"') from error
    for path in (folder / "cache").glob("o/*/lib*"):
        if ".so." in path.name or path.name == "libc_nonshared.a":
            shutil.copy(path, folder)
    for name in ("libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1"):
        (folder / name.rpartition(".")[0]).symlink_to(name)
    (folder / "libc.so").write_text("GROUP(libc.so.6 libc_nonshared.a AS_NEEDED(libld.so.2))\n")
    return folder


def check(library):
    """Checks that a library needs nothing but old versions of the system's libraries.

    Raises WheelError with the symbols that are too new, or with the libraries that are too many.
    """
    found = []
    for kind, version, name in UNDEFINED.findall(printed_by(["objdump", "-T", library])):
        if tuple(map(int, version.split("."))) > NEWEST.get(kind, ()):
            found.append(f"{name} of {kind}_{version}")
    for name, stem in NEEDED.findall(printed_by(["objdump", "-p", library])):
        if stem not in SYSTEM:
            found.append(f"the library {name}")
    if found:
        limits = ", ".join(f"{kind}_{'.'.join(map(str, most))}" for kind, most in NEWEST.items())
        raise WheelError(
            f"{library}: expected no symbol newer than {limits}, found {', '.join(sorted(found))}; "
            f"give the library its own in {PORTABLE.relative_to(ROOT)}, or use an older compiler"
        )


def pack(source, out):
    """Makes a wheel of a source tree in the folder ``out``; returns its path."""
    with tempfile.TemporaryDirectory() as scratch:
        printed_by([sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", scratch, source])
        (made,) = Path(scratch).glob("*.whl")
        if not made.name.endswith(f"-{TAG}.whl"):
            raise WheelError(f"setup.py: expected a wheel for {TAG}, found {made.name}")
        out.mkdir(parents=True, exist_ok=True)
        return shutil.copy(made, out)


if __name__ == "__main__":
    sys.exit(run(main))
